import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { build } from "esbuild";
import {
  CountTokensResponseSchema,
  StreamGenerateResponseSchema,
  TriviumClient,
  TriviumError,
} from "@trivium/client/web";
import { framed } from "./scripted-server.js";

const packed = <Desc extends DescMessage>(schema: Desc, message: MessageInitShape<Desc>) =>
  framed(toBinary(schema, create(schema, message)));
const trailers = (lines: string) => framed(Buffer.from(lines), 0x80);
const text = (sequence: bigint, value: string) =>
  packed(StreamGenerateResponseSchema, {
    sequence,
    event: { case: "delta", value: { delta: { case: "text", value } } },
  });
const END = packed(StreamGenerateResponseSchema, { sequence: 2n, event: { case: "completed", value: {} } });

/** A proxy that answers each call with these pieces of a body. */
async function served(
  pieces: readonly Buffer[],
  use: (client: TriviumClient, requests: Parameters<RequestListener>[0][]) => Promise<void>,
): Promise<void> {
  const requests: Parameters<RequestListener>[0][] = [];
  const server = createServer((request, response) => {
    requests.push(request.resume());
    response.writeHead(200, { "content-type": "application/grpc-web+proto" });
    void (async () => {
      for (const piece of pieces) {
        response.write(piece);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      response.end();
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const client = new TriviumClient({ target: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  try {
    await use(client, requests);
  } finally {
    client.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

async function failure(call: Promise<unknown>): Promise<TriviumError> {
  const reason: unknown = await call.then(
    () => assert.fail("the call succeeded"),
    (error: unknown) => error,
  );
  assert.ok(reason instanceof TriviumError, String(reason));
  return reason;
}

test("the browser's part has nothing of Node in it", async () => {
  const { metafile, outputFiles } = await build({
    stdin: { contents: `export * from "@trivium/client/web"`, resolveDir: process.cwd() },
    bundle: true,
    platform: "browser",
    format: "esm",
    minify: true,
    metafile: true,
    write: false,
  });
  const foreign = Object.keys(metafile.inputs).filter((path) => /connect-node|(^|\/)node-/.test(path));
  assert.deepEqual(foreign, []);
  const [bundle = assert.fail("nothing was built")] = outputFiles;
  assert.doesNotMatch(bundle.text, /from"node:|require\("/);
});

test("what a page does not use is not in its bundle", async () => {
  const { outputFiles } = await build({
    stdin: { contents: `export { VERSION } from "@trivium/client/web"`, resolveDir: process.cwd() },
    bundle: true,
    platform: "browser",
    format: "esm",
    minify: true,
    write: false,
  });
  assert.ok((outputFiles[0]?.text.length ?? Infinity) < 200);
});

test("both parts are the same package", () => {
  const { version } = createRequire(import.meta.url)(`${process.cwd()}/package.json`) as { version: string };
  return import("@trivium/client").then(({ VERSION }) => assert.equal(VERSION, version));
});

test("a call is answered over gRPC-Web", async () => {
  const pieces = [packed(CountTokensResponseSchema, { tokenCount: 7n }), trailers("grpc-status: 0\r\n")];
  await served(pieces, async (client, requests) => {
    assert.equal((await client.text.countTokens({}, { requestId: "r" })).tokenCount, 7n);
    assert.equal(requests[0]?.headers["x-request-id"], "r");
    assert.equal(requests[0]?.headers["content-type"], "application/grpc-web+proto");
    assert.match(String(requests[0]?.headers["grpc-timeout"]), /^\d+m$/);
  });
});

test("a stream comes in pieces over gRPC-Web, however it is cut", async () => {
  const whole = Buffer.concat([text(0n, "Good "), text(1n, "day"), END, trailers("grpc-status: 0\r\n")]);
  const pieces = Array.from({ length: Math.ceil(whole.length / 3) }, (_, index) =>
    whole.subarray(3 * index, 3 * index + 3),
  );
  await served(pieces, async (client) => {
    const stream = client.text.stream("Hello", { model: "m" });
    const heard: string[] = [];
    for await (const piece of stream.pieces()) {
      heard.push(piece);
    }
    assert.deepEqual(heard, ["Good ", "day"]);
  });
});

test("an error in the trailers is told, whatever its details are", async () => {
  const pieces = [trailers("grpc-status: 5\r\ngrpc-message: no%20model\r\ngrpc-status-details-bin: !!!\r\n")];
  await served(pieces, async (client) => {
    const error = await failure(client.text.countTokens({}));
    assert.deepEqual([error.code, error.message, error.kind], ["NOT_FOUND", "no model", undefined]);
  });
});

test("a body that is cut off is a lost connection", async () => {
  for (const cut of [[text(0n, "Good ")], [text(0n, "Good "), text(1n, "day").subarray(0, 9)]]) {
    await served(cut, async (client) => {
      const stream = client.text.stream("Hello", { model: "m" });
      const error = await failure(
        (async () => {
          for await (const _ of stream);
        })(),
      );
      assert.deepEqual([stream.text, error.kind], ["Good ", "connection_lost"]);
    });
  }
});

test("a proxy that is not there is unavailable", async () => {
  const client = new TriviumClient({ target: "http://127.0.0.1:9", retry: { maxAttempts: 1 } });
  assert.equal((await failure(client.text.countTokens({}))).kind, "server_unavailable");
});

test("a stream of requests is refused", async () => {
  const client = new TriviumClient({ target: "http://127.0.0.1:9" });
  assert.throws(() => client.speech.streamRecognize([]), { kind: "invalid_call" });
});
