// The page of examples/browser in Chromium, through Envoy, with a real server: $TRIVIUM, $ENVOY and $CHROMIUM are their
// programs.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Browser, chromium, type Page } from "playwright-core";

const MODEL = "smollm2-135m-instruct";
const STORY = "Tell me a long story about a fisherman, his boat and the sea.";
const PAGES = join(process.cwd(), ".build/browser");
const TYPES: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript" };

/** A program that runs until the tests are over, and what it has printed. */
class Program {
  printed = "";

  private constructor(
    readonly name: string,
    readonly process: ChildProcess,
  ) {
    for (const output of [process.stdout, process.stderr]) {
      output?.on("data", (piece: Buffer) => {
        this.printed += piece.toString();
      });
    }
    process.on("error", (error) => {
      this.printed += String(error);
    });
  }

  static start(name: string, ...given: string[]): Program {
    return new Program(name, spawn(name, given, { stdio: ["ignore", "pipe", "pipe"] }));
  }

  /** Waits until it listens. */
  async listens(port: number): Promise<void> {
    for (let attempt = 0; attempt < 600; attempt += 1) {
      if (await isOpen(port)) {
        return;
      }
      if (this.process.exitCode !== null || this.process.pid === undefined) {
        break;
      }
      await sleep(100);
    }
    throw new Error(`${this.name} does not listen on ${port}:\n${this.printed}`);
  }

  /** Waits until it has printed something, and returns that. */
  async prints(wanted: RegExp): Promise<string> {
    for (let attempt = 0; attempt < 100; attempt += 1) {
      const found = wanted.exec(this.printed);
      if (found) {
        return found[0];
      }
      await sleep(100);
    }
    throw new Error(`${this.name} has not printed ${wanted.source}:\n${this.printed}`);
  }

  async stop(): Promise<void> {
    if (this.process.exitCode === null && this.process.pid !== undefined) {
      const ended = new Promise((resolve) => this.process.once("exit", resolve));
      this.process.kill();
      await ended;
    }
  }
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const pages = createHttpServer((request, response) => {
  const path = new URL(request.url ?? "/", "http://localhost").pathname;
  const name = path === "/" ? "/index.html" : path;
  readFile(join(PAGES, name)).then(
    (content) => response.writeHead(200, { "content-type": TYPES[extname(name)] ?? "text/plain" }).end(content),
    () => response.writeHead(404).end(),
  );
});

describe("the page that chats", () => {
  let folder: string;
  let server: Program;
  let envoy: Program;
  let browser: Browser;
  let page: Page;
  let address: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "trivium-page-"));
    const [serverPort, envoyPort] = [await freePort(), await freePort()];
    await new Promise<void>((resolve) => pages.listen(0, "127.0.0.1", resolve));
    const origin = `http://localhost:${(pages.address() as AddressInfo).port}`;
    address = `${origin}/?target=http://127.0.0.1:${envoyPort}`;

    server = Program.start(
      process.env.TRIVIUM ?? "trivium",
      ...["serve", "--listen", `127.0.0.1:${serverPort}`, "--model", MODEL],
    );
    const config = (await readFile("examples/browser/envoy.yaml", "utf8"))
      .replace("port_value: 8080", `port_value: ${envoyPort}`)
      .replace("port_value: 50051", `port_value: ${serverPort}`)
      .replaceAll("http://localhost:8000", origin);
    await writeFile(join(folder, "envoy.yaml"), config);
    envoy = Program.start(process.env.ENVOY ?? "envoy", "-c", join(folder, "envoy.yaml"), "--concurrency", "1");
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    });
    await envoy.listens(envoyPort);
    await server.listens(serverPort);
  });

  beforeEach(async () => {
    page = await browser.newPage();
    page.setDefaultTimeout(60_000);
    page.on("console", (line) => console.error(line.text()));
  });

  after(async () => {
    await browser?.close();
    await envoy?.stop();
    await server?.stop();
    pages.close();
    await rm(folder, { recursive: true });
  });

  /** Sends a prompt, and returns the last line of the page once it is as wanted. */
  async function chat(prompt: string, wanted: RegExp): Promise<string> {
    await page.fill("#prompt", prompt);
    await page.click("#send");
    return said(wanted);
  }

  async function said(wanted: RegExp): Promise<string> {
    const line = page.locator("#status", { hasText: wanted });
    await line.waitFor();
    return line.innerText();
  }

  test("an answer is shown while it is made", async () => {
    await page.goto(address);
    await page.evaluate(() => {
      const answer = document.querySelector("#answer");
      const seen: number[] = [];
      Object.assign(globalThis, { seen });
      if (answer) {
        new MutationObserver(() => seen.push(performance.now())).observe(answer, { childList: true });
      }
    });
    const status = await chat("What is the capital of Japan?", /tokens|:/);
    assert.match(status, /^[1-9]\d* tokens$/);
    assert.match(await page.innerText("#answer"), /\w{3}/);
    assert.ok((await page.locator("#answer span").count()) > 2);
    const seen = await page.evaluate(() => (globalThis as unknown as { seen: number[] }).seen);
    assert.ok(seen.length > 2, "the pieces came at once");
  });

  test("stopping ends the call at the server", async () => {
    await page.goto(address);
    await page.fill("#prompt", STORY);
    await page.click("#send");
    await page.locator("#answer span").nth(2).waitFor({ state: "attached" });
    await page.click("#stop");
    assert.equal(await said(/stopped|tokens|:/), "stopped");
    const shown = await page.innerText("#answer");
    await server.prints(/"method": "[^"]*StreamGenerate", "status": "CANCELLED"/);
    await sleep(200);
    assert.equal(await page.innerText("#answer"), shown);
  });

  test("an unknown model has its reason", async () => {
    await page.goto(`${address}&model=no-such-model`);
    assert.match(await chat("Hello", /:/), /^MODEL_NOT_FOUND: .*no-such-model/);
  });

  test("a proxy that is gone is unavailable", async () => {
    await page.goto(address.replace(/target=.*/, `target=http://127.0.0.1:${await freePort()}`));
    assert.match(await chat("Hello", /:/), /^UNAVAILABLE: /);
  });
});
