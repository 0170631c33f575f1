// Tries the examples and the snippets of README.md against the server at $TRIVIUM_TARGET.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { promisify } from "node:util";
import { drawnText } from "./drawn-text.js";

const run = promisify(execFile);
const ROOT = process.cwd();
const skip = process.env.TRIVIUM_TARGET ? false : "TRIVIUM_TARGET is not set";

let folder: string;

/** Runs a program in the folder with the test's files; returns what it prints. */
async function printed(program: string, ...given: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [program, ...given], { cwd: folder, timeout: 120_000 });
  return stdout;
}

const example = (name: string, ...given: string[]) => printed(join(ROOT, ".build/examples", `${name}.js`), ...given);

/** Runs a snippet of README.md, which is plain JavaScript too, as a module of this package. */
async function snippet(index: number): Promise<string> {
  const readme = await readFile(join(ROOT, "README.md"), "utf8");
  const snippets = Array.from(readme.matchAll(/^```ts\n(.*?)^```$/gms), (found) => found[1] ?? "");
  await mkdir(join(ROOT, ".build/readme"), { recursive: true });
  const path = join(ROOT, ".build/readme", `${index}.mjs`);
  await writeFile(path, snippets[index] ?? assert.fail(`README.md has ${snippets.length} snippets`));
  return printed(path);
}

describe("with a server", { skip }, () => {
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "trivium-"));
    await writeFile(join(folder, "page.png"), drawnText("HELLO 42"));
  });

  test("chat-stream answers", async () => {
    assert.match(await example("chat-stream", "What is the capital of Japan?"), /\w{3}.*\n\d+ tokens\n$/s);
  });

  test("embed-compare puts the closest sentence first", async () => {
    const lines = (await example("embed-compare")).trim().split("\n");
    assert.match(lines[0] ?? "", /^0\.\d{3} {2}Track an order$/);
    assert.equal(lines.length, 3);
  });

  test("read-image reads", async () => {
    assert.match(await example("read-image", "page.png"), /^[01]\.\d\d {2}HELLO ?42$/m);
  });

  test("speak speaks, and live-transcription hears it", async () => {
    assert.match(await example("speak", "Good morning, how are you?", "hello.wav"), /^hello\.wav: [1-4]\.\d s$/m);
    assert.match(await example("live-transcription", "--fast", "hello.wav"), /^= Good morning, how are you\?$/m);
  });

  test("live-transcription hears words while they are spoken", async () => {
    await example("speak", "The train to the coast leaves from the third platform.", "train.wav");
    const heard = await example("live-transcription", "train.wav");
    assert.match(heard, /^ {2}\S.*\n[\s\S]*^= .*train/m);
  });

  test("the first lines of README.md answer", async () => {
    assert.match(await snippet(0), /\w{3}.*\d+n tokens\n$/s);
  });

  test("the short forms of README.md answer", async () => {
    const said = await snippet(1);
    assert.match(said, /^384$/m);
    assert.match(said, /your parcel arrives today/i);
    assert.match(said, /HELLO ?42/);
    assert.match(said, /'smollm2-135m-instruct'/);
  });

  test("the error of README.md has its reason", async () => {
    assert.match(await snippet(2), /^MODEL_NOT_FOUND .*\nNOT_FOUND undefined undefined [\w-]+ /);
  });

  test("the live stream of README.md is heard", async () => {
    assert.match(await snippet(3), /^true .*parcel/m);
  });
});
