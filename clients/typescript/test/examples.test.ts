// How the examples fail: with one line, and without a server. live.test.ts tries how they succeed.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { ScriptedServer } from "./scripted-server.js";

/** Returns what an example that must fail writes to standard error. */
function complaint(name: string, given: string[], target = "127.0.0.1:1"): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(".build/examples", `${name}.js`), ...given], {
    encoding: "utf8",
    env: { ...process.env, TRIVIUM_TARGET: target },
    timeout: 60_000,
  });
  assert.deepEqual([status, stdout], [1, ""], stderr);
  return stderr;
}

test("an example says its usage where words are missing, too many, or unknown options", () => {
  assert.equal(complaint("read-image", []), "usage: read-image FILE\n");
  assert.equal(complaint("chat-stream", ["one", "two"]), "usage: chat-stream [PROMPT]\n");
  assert.equal(complaint("live-transcription", ["--slow", "a.wav"]), "usage: live-transcription [--fast] FILE\n");
});

test("an example names the file that is missing or wrong", () => {
  assert.match(complaint("read-image", ["missing.png"]), /^ENOENT.*missing\.png'\n$/);
  const wrong = complaint("live-transcription", ["--fast", "package.json"]);
  assert.equal(wrong, "package.json is no WAV file with one channel of 16 bits\n");
});

test("an example says in one line that there is no server", async () => {
  const server = await ScriptedServer.start(() => undefined);
  const target = server.target;
  await server.close();
  const wanted = `no server listens at ${target}; \`trivium serve\` starts one\n`;
  assert.equal(complaint("chat-stream", ["Hello!"], target), wanted);
});
