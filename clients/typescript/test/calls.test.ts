import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { inspect } from "node:util";
import { toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { create } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "#client/gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "#client/gen/google/rpc/status_pb.js";
import {
  CountTokensResponseSchema,
  TriviumClient,
  type TriviumClientOptions,
  TriviumError,
  UsageSchema,
  VERSION,
} from "@trivium/client";
import { type Script, ScriptedServer } from "./scripted-server.js";

const QUICK = { initialBackoffMs: 5, maxBackoffMs: 20 };

async function served(
  script: Script,
  use: (client: TriviumClient, server: ScriptedServer) => Promise<void>,
  options: TriviumClientOptions = {},
): Promise<void> {
  const server = await ScriptedServer.start(script);
  const client = new TriviumClient({ target: server.target, retry: QUICK, ...options });
  try {
    await use(client, server);
  } finally {
    client.close();
    await server.close();
  }
}

/** Returns the error that a call fails with. */
async function failure(call: Promise<unknown>): Promise<TriviumError> {
  const reason: unknown = await call.then(
    () => assert.fail("the call succeeded"),
    (error: unknown) => error,
  );
  assert.ok(reason instanceof TriviumError, String(reason));
  return reason;
}

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
const answered: Script = (call) => {
  call.send(CountTokensResponseSchema, { tokenCount: 7n });
  call.end();
};

test("a call says who calls, which one it is, and how long it may take", async () => {
  await served(
    answered,
    async (client, server) => {
      const call = client.text.countTokens(
        {},
        { requestId: "mine", metadata: { "X-A": "b", "y-bin": Uint8Array.of(0, 255) } },
      );
      assert.equal(call.requestId, "mine");
      assert.equal((await call).tokenCount, 7n);
      const headers = server.calls[0]?.headers;
      assert.equal(headers?.["x-request-id"], "mine");
      assert.match(String(headers?.["trivium-client"]), new RegExp(`^trivium-typescript/${VERSION} node/\\d`));
      assert.equal(headers?.["authorization"], "Bearer secret");
      assert.equal(headers?.["x-a"], "b");
      assert.equal(headers?.["x-b"], "always");
      assert.equal(headers?.["y-bin"], "AP8");
      assert.match(String(headers?.["grpc-timeout"]), /^(5\d{4}|60000)m$/);
      assert.equal(headers?.["grpc-accept-encoding"], undefined);
    },
    { token: "secret", metadata: { "x-b": "always" } },
  );
});

test("each call has a request id of its own", async () => {
  await served(answered, async (client) => {
    const calls = [client.text.countTokens({}), client.text.countTokens({})];
    await Promise.all(calls);
    const ids = calls.map((call) => call.requestId);
    assert.notEqual(ids[0], ids[1]);
    assert.match(String(ids[0]), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});

test("the details of an error are told", async () => {
  const status = create(StatusSchema, {
    code: 3,
    message: "bad",
    details: [
      anyPack(
        ErrorInfoSchema,
        create(ErrorInfoSchema, { domain: "trivium.v1", reason: "INPUT_TOO_LONG", metadata: { limit: "9" } }),
      ),
      anyPack(
        BadRequestSchema,
        create(BadRequestSchema, { fieldViolations: [{ field: "a.b", description: "too long" }] }),
      ),
      anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay: { seconds: 2n, nanos: 500_000_000 } })),
    ],
  });
  const usage = create(UsageSchema, { inputCharacters: 12n });
  const trailers = {
    "grpc-status-details-bin": base64(toBinary(StatusSchema, status)),
    "trivium-usage-bin": base64(toBinary(UsageSchema, usage)),
  };
  await served(
    (call) => call.end(3, "it%20is bad 100%", trailers),
    async (client) => {
      const error = await failure(client.text.countTokens({}, { requestId: "r1" }));
      assert.equal(error.code, "INVALID_ARGUMENT");
      assert.equal(error.reason, "INPUT_TOO_LONG");
      assert.equal(error.kind, undefined);
      assert.equal(error.message, "it%20is bad 100%"); // cannot be decoded as a whole, so it is shown as it came
      assert.deepEqual(error.metadata, { limit: "9" });
      assert.deepEqual(error.fieldViolations, [{ field: "a.b", description: "too long" }]);
      assert.equal(error.retryAfterMs, 2500);
      assert.equal(error.requestId, "r1");
      assert.equal(error.usage?.inputCharacters, 12n);
      assert.ok(error.cause instanceof ConnectError);
      assert.equal(error.cause.metadata.get("trivium-kept-status-details"), null);
    },
  );
});

test("an error is printed with what is known of it, and no more", async () => {
  await served(
    (call) => call.end(5, "gone"),
    async (client) => {
      const error = await failure(client.text.countTokens({}, { requestId: "r1" }));
      const printed = inspect(error);
      assert.match(printed, /^TriviumError: gone\n( {4}at .*\n?)+ \{ code: 'NOT_FOUND', requestId: 'r1' \}$/);
    },
  );
});

test("details that cannot be read do not hide the status", async () => {
  const trailers = { "grpc-status-details-bin": "!!!", "trivium-usage-bin": "gA" };
  await served(
    (call) => call.end(5, "gone", trailers),
    async (client) => {
      const error = await failure(client.text.countTokens({}));
      assert.deepEqual(
        [error.code, error.message, error.reason, error.usage],
        ["NOT_FOUND", "gone", undefined, undefined],
      );
    },
  );
});

test("an unavailable server is asked again", async () => {
  const script: Script = (call, number) => (number < 2 ? call.end(14, "not yet") : answered(call, number));
  await served(script, async (client, server) => {
    assert.equal((await client.text.countTokens({})).tokenCount, 7n);
    assert.equal(new Set(server.calls.map(({ headers }) => headers["x-request-id"])).size, 1);
    assert.equal(server.calls.length, 3);
  });
});

test("attempts are limited", async () => {
  await served(
    (call) => call.end(14, "never"),
    async (client, server) => {
      const error = await failure(client.text.countTokens({}));
      assert.deepEqual([error.code, error.kind, error.message], ["UNAVAILABLE", "server_unavailable", "never"]);
      assert.equal(server.calls.length, 2);
    },
    { retry: { ...QUICK, maxAttempts: 2 } },
  );
});

test("a server that asks to be left alone is not asked again", async () => {
  await served(
    (call) => call.end(14, "no", { "grpc-retry-pushback-ms": "-1" }),
    async (client, server) => {
      await failure(client.text.countTokens({}));
      assert.equal(server.calls.length, 1);
    },
  );
});

test("a broken connection is made again", async () => {
  const script: Script = (call, number) => (number === 0 ? call.breakConnection() : answered(call, number));
  await served(script, async (client, server) => {
    assert.equal((await client.text.countTokens({})).tokenCount, 7n);
    assert.equal(server.calls.length, 2);
  });
});

test("a server that is not there is named", async () => {
  const server = await ScriptedServer.start(answered);
  const target = server.target;
  await server.close();
  const client = new TriviumClient({ target, retry: QUICK });
  const error = await failure(client.text.countTokens({}));
  client.close();
  assert.equal(error.kind, "server_unavailable");
  assert.equal(error.message, `no server listens at ${target}; \`trivium serve\` starts one`);
});

test("the deadline holds for all attempts together", async () => {
  await served(
    (call, number) => (number === 0 ? call.end(14) : undefined),
    async (client, server) => {
      const begun = performance.now();
      const error = await failure(client.text.countTokens({}, { timeoutMs: 300 }));
      assert.deepEqual([error.code, error.kind, error.reason], ["DEADLINE_EXCEEDED", undefined, undefined]);
      assert.equal(error.message, "the deadline of the call passed: 0.3 s");
      assert.ok(performance.now() - begun < 2000);
      assert.equal(server.calls.length, 2);
    },
  );
});

test("a call that is cancelled says so, at the server too, and lets go of the signal", async () => {
  await served(
    () => undefined,
    async (client, server) => {
      const controller = new AbortController();
      const pending = failure(client.text.countTokens({}, { signal: controller.signal }));
      while (server.calls.length === 0) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      const reason = new Error("enough");
      controller.abort(reason);
      const error = await pending;
      assert.deepEqual([error.code, error.kind, error.cause], ["CANCELLED", "cancelled", reason]);
      assert.equal(await server.calls[0]?.closed(), 8);
      assert.equal(getEventListeners(controller.signal, "abort").length, 0);
    },
  );
});

test("many calls share a signal", async () => {
  await served(
    () => undefined,
    async (client, server) => {
      const controller = new AbortController();
      const { signal } = controller;
      const pending = Array.from({ length: 20 }, () => failure(client.text.countTokens({}, { signal })));
      while (server.calls.length < 20) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      assert.equal(getEventListeners(signal, "abort").length, 1);
      controller.abort();
      assert.ok((await Promise.all(pending)).every(({ kind }) => kind === "cancelled"));
      assert.equal(getEventListeners(signal, "abort").length, 0);
    },
  );
});

test("a call that is cancelled before it begins is not sent", async () => {
  await served(answered, async (client, server) => {
    const error = await failure(client.text.countTokens({}, { signal: AbortSignal.abort() }));
    assert.equal(error.kind, "cancelled");
    assert.equal(server.calls.length, 0);
  });
});

test("closing the client ends its calls, and those that come", async () => {
  await served(
    () => undefined,
    async (client, server) => {
      const pending = failure(client.text.countTokens({}));
      while (server.calls.length === 0) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      client.close();
      assert.deepEqual([(await pending).kind, (await pending).message], ["cancelled", "the client was closed"]);
      assert.equal((await failure(client.text.countTokens({}))).kind, "cancelled");
    },
  );
});

test("closing the client closes its connection, without an error", async () => {
  await served(answered, async (client, server) => {
    const errors: unknown[] = [];
    server.server.on("sessionError", (error) => errors.push(error));
    await client.text.countTokens({});
    client.close();
    while (server.numConnections > 0) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.deepEqual(errors, []);
  });
});

test("a request that is too large is not sent", async () => {
  await served(
    answered,
    async (client, server) => {
      const tooLarge = { input: { model: "x".repeat(2000) } };
      const error = await failure(client.text.countTokens(tooLarge, { requestId: "r" }));
      assert.deepEqual([error.code, error.kind, error.requestId], ["INVALID_ARGUMENT", "invalid_call", "r"]);
      assert.match(error.message, /2006 .* maxMessageBytes 1000/);
      assert.equal(server.calls.length, 0);
      assert.equal((await client.text.countTokens({})).tokenCount, 7n);
    },
    { maxMessageBytes: 1000 },
  );
});

test("a response that is too large is refused", async () => {
  await served(
    (call) => {
      call.send(CountTokensResponseSchema, { tokens: [{ tokenBytes: new Uint8Array(2000) }] });
      call.end();
    },
    async (client) => {
      const error = await failure(client.text.countTokens({}));
      assert.deepEqual([error.code, error.kind], ["RESOURCE_EXHAUSTED", undefined]);
    },
    { maxMessageBytes: 1000 },
  );
});

test("what is no message is refused", async () => {
  await served(answered, async (client, server) => {
    const wrong = { input: { sampling: { topK: "seven" as unknown as number } } };
    assert.equal((await failure(client.text.countTokens(wrong))).kind, "invalid_call");
    assert.equal(server.calls.length, 0);
  });
});

test("calls run side by side over one connection", async () => {
  const waiting: (() => void)[] = [];
  const script: Script = (call, number) => {
    waiting.push(() => answered(call, number));
    if (waiting.length === 64) {
      waiting.forEach((answer) => answer());
    }
  };
  await served(script, async (client, server) => {
    const calls = Array.from({ length: 64 }, () => client.text.countTokens({}));
    assert.equal((await Promise.all(calls)).length, 64);
    assert.equal(server.numConnections, 1);
  });
});

test("a Unix socket is a target", async () => {
  const path = join(await mkdtemp(join(tmpdir(), "trivium-")), "server.sock");
  const server = await ScriptedServer.start(answered, { path });
  const client = new TriviumClient({ target: `unix:${path}` });
  assert.equal((await client.text.countTokens({})).tokenCount, 7n);
  client.close();
  await server.close();
});
