// The other side of the measurement, in a process of its own: answers at once, with as many tokens as the prompt says.

import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { type StreamGenerateResponseSchema, TextGenerationService } from "@trivium/client";

async function* tokens(count: number): AsyncGenerator<MessageInitShape<typeof StreamGenerateResponseSchema>> {
  for (let token = 0; token < count; token += 1) {
    const value = { delta: { case: "text", value: "word " }, tokenCount: 1 } as const;
    yield { sequence: BigInt(token), event: { case: "delta", value } };
  }
  yield { sequence: BigInt(count), event: { case: "completed", value: {} } };
}

const adapter = connectNodeAdapter({
  acceptCompression: [],
  routes: (router) =>
    router.service(TextGenerationService, {
      countTokens: () => ({ tokenCount: 7n, contextLimit: 2048n }),
      streamGenerate: ({ input }) => tokens(input?.sampling?.maxOutputTokens ?? 1),
    }),
});

const server = createServer(adapter);
server.listen(0, "127.0.0.1", () => {
  process.send?.((server.address() as AddressInfo).port);
});
process.once("disconnect", () => process.exit());
