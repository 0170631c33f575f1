import assert from "node:assert/strict";
import { test } from "node:test";
import { sessionsTo } from "#client/node-sessions.js";
import { parseTarget } from "#client/target.js";
import { ScriptedServer } from "./scripted-server.js";

test("the calls to a name with several addresses are spread round robin", async () => {
  const first = await ScriptedServer.start(() => undefined, { host: "127.0.0.1" });
  const second = await ScriptedServer.start(() => undefined, { host: "127.0.0.2", port: first.port });
  const target = parseTarget(`several.test:${first.port}`);
  const sessions = sessionsTo(target, `http://${target.text}`, {}, async (host) => {
    assert.equal(host, "several.test");
    return ["127.0.0.1", "127.0.0.2"];
  });
  for (let call = 0; call < 6; call += 1) {
    const session = await sessions.next();
    const stream = await session.request("POST", "/", {}, {});
    sessions.made(stream.session ?? assert.fail());
    stream.on("error", () => undefined);
  }
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.deepEqual([first.calls.length, second.calls.length], [3, 3]);
  assert.deepEqual([first.numConnections, second.numConnections], [1, 1]);
  first.calls.concat(second.calls).forEach((call) => call.end());
  sessions.close();
  await first.close();
  await second.close();
});
