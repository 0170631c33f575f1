import assert from "node:assert/strict";
import { test } from "node:test";
import { Attempts, checkedRetryPolicy, Deadline, type RetryPolicy } from "#client/retry.js";
import { TriviumError as InternalError } from "#client/errors.js";
import { isLocal, parseTarget } from "#client/target.js";
import { TriviumClient, type TriviumClientOptions, TriviumError } from "@trivium/client";

test("targets are read", () => {
  const cases: [string, string, number, boolean | undefined][] = [
    ["127.0.0.1:50051", "127.0.0.1", 50051, undefined],
    ["[::1]:7", "::1", 7, undefined],
    ["http://example.test:80", "example.test", 80, false],
    ["https://example.test", "example.test", 443, true],
    ["https://[::1]/", "::1", 443, true],
    ["dns:///example.test:5", "example.test", 5, undefined],
    ["dns:example.test:5", "example.test", 5, undefined],
  ];
  for (const [text, host, port, isEncrypted] of cases) {
    assert.deepEqual(parseTarget(text), { text, host, port, isEncrypted, socketPath: undefined }, text);
  }
  assert.equal(parseTarget("unix:/run/a.sock").socketPath, "/run/a.sock");
  assert.equal(parseTarget("unix:///run/a.sock").socketPath, "/run/a.sock");
});

test("a loopback address and a socket are this machine", () => {
  for (const text of ["localhost:1", "127.9.8.7:1", "[::1]:1", "unix:a"]) {
    assert.ok(isLocal(parseTarget(text)), text);
  }
  for (const text of ["example.test:1", "10.0.0.1:1", "127.0.0.1.test:1"]) {
    assert.ok(!isLocal(parseTarget(text)), text);
  }
});

test("settings that cannot be used are refused, and say why", () => {
  const cases: [TriviumClientOptions, RegExp][] = [
    [{ target: "" }, /empty/],
    [{ target: "example.test" }, /has no port; .*example\.test:50051/],
    [{ target: "::1" }, /IPv6/],
    [{ target: "a:70000" }, /port 70000/],
    [{ target: "http://a:1/path" }, /no place for it/],
    [{ target: "https://a", tls: false }, /contradict/],
    [{ target: "http://a:1", tls: true }, /contradict/],
    [{ target: "a:1", tls: { certificate: "x" } }, /together/],
    [{ token: "a b" }, /^token is empty or/],
    [{ metadata: { authorization: "x" } }, /give token/],
    [{ metadata: { "grpc-x": "x" } }, /gRPC's own/],
    [{ metadata: { "a-bin": "x" } }, /bytes/],
    [{ metadata: { a: "ä" } }, /printable ASCII/],
    [{ metadata: { a: "x", A: "y" } }, /twice/],
    [{ metadata: { "a b": "x" } }, /a key is/],
    [{ timeoutMs: 0 }, /timeoutMs is 0/],
    [{ idleTimeoutMs: Number.NaN }, /idleTimeoutMs is NaN/],
    [{ maxMessageBytes: 0 }, /maxMessageBytes/],
    [{ retry: { maxAttempts: 0 } }, /retry.maxAttempts is 0/],
    [{ retry: { maxBackoffMs: -1 } }, /retry.maxBackoffMs is -1/],
  ];
  for (const [options, message] of cases) {
    assert.throws(
      () => new TriviumClient(options),
      (error) => error instanceof TriviumError && error.kind === "invalid_call" && message.test(error.message),
      message.source,
    );
  }
});

test("a token is never shown", () => {
  assert.throws(
    () => new TriviumClient({ token: "s3cret\n" }),
    (error) => !String(error).includes("s3cret"),
  );
  const client = new TriviumClient({ token: "s3cret" });
  assert.ok(!JSON.stringify(client).includes("s3cret"));
});

test("options of a call that cannot be used are refused", async () => {
  const client = new TriviumClient();
  const cases = [{ requestId: "a b" }, { requestId: "x".repeat(129) }, { timeoutMs: -1 }, { metadata: { te: "x" } }];
  for (const options of cases) {
    await assert.rejects(client.text.countTokens({}, options), { kind: "invalid_call" });
    assert.throws(() => client.models.watchModels({}, options), { kind: "invalid_call" });
  }
  client.close();
});

const UNAVAILABLE = new InternalError("", { code: "UNAVAILABLE" });

function attempts(policy: Partial<RetryPolicy>, random: number, timeoutMs?: number): Attempts {
  return new Attempts(checkedRetryPolicy(policy), new Deadline(timeoutMs, () => 0), () => random);
}

test("waits grow between half and all of their limit", () => {
  for (const [random, waits] of [
    [0, [100, 200, 400, 500, 500]],
    [1, [200, 400, 800, 1000, 1000]],
  ] as const) {
    const made = attempts({ maxAttempts: 9, maxBackoffMs: 1000 }, random);
    for (const wait of waits) {
      made.begin();
      assert.equal(made.delayBeforeRetry({ error: UNAVAILABLE }), wait);
    }
  }
});

test("a wait is no shorter than the server wants, and not made where that is too long", () => {
  const wish = (code: "UNAVAILABLE" | "RESOURCE_EXHAUSTED" | "ABORTED", retryAfterMs: number) => ({
    error: new InternalError("", { code, retryAfterMs }),
  });
  const delay = (failure: Parameters<Attempts["delayBeforeRetry"]>[0], random = 0.5, timeoutMs?: number) => {
    const made = attempts({}, random, timeoutMs);
    made.begin();
    return made.delayBeforeRetry(failure);
  };
  assert.equal(delay(wish("UNAVAILABLE", 1000)), 1100);
  assert.equal(delay(wish("RESOURCE_EXHAUSTED", 1000), 1), 1200);
  assert.equal(delay(wish("UNAVAILABLE", 10)), 150);
  assert.equal(delay(wish("ABORTED", 10)), undefined);
  assert.equal(delay(wish("UNAVAILABLE", 30_001)), undefined);
  assert.equal(delay(wish("UNAVAILABLE", 1000), 0.5, 1100), undefined);
  assert.equal(delay({ error: new InternalError("", { code: "RESOURCE_EXHAUSTED" }) }), undefined);
  assert.equal(delay({ ...wish("UNAVAILABLE", 5000), pushbackMs: 1000 }), 1100);
  assert.equal(delay({ ...wish("UNAVAILABLE", 5000), pushbackMs: -1 }), undefined);
  assert.equal(delay({ error: UNAVAILABLE, isLasting: true }), undefined);
});
