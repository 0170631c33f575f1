// The other side of the measurement, in a process of its own: answers at once, with as many tokens as the prompt says.

import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { TextGenerationService } from "@trivium/client";

const adapter = connectNodeAdapter({
  acceptCompression: [],
  routes: (router) =>
    router.service(TextGenerationService, {
      countTokens: () => ({ tokenCount: 7n, contextLimit: 2048n }),
      async *streamGenerate({ input }) {
        const numTokens = Number(input?.sampling?.maxOutputTokens ?? 1);
        for (let token = 0; token < numTokens; token += 1) {
          yield {
            sequence: BigInt(token),
            event: { case: "delta", value: { delta: { case: "text", value: "word " }, tokenCount: 1 } },
          };
        }
        yield { sequence: BigInt(numTokens), event: { case: "completed", value: {} } };
      },
    }),
});

const server = createServer(adapter);
server.listen(0, "127.0.0.1", () => {
  process.send?.((server.address() as AddressInfo).port);
});
process.once("disconnect", () => process.exit());
