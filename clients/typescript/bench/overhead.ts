// What this client adds to a call of the bare stub, against a scripted server in another process. Prints a line of JSON:
// microseconds of a call, or from one token to the next, at the 50th and 99th percentile, and microseconds of this
// process's CPU for each; medians over rounds in which stub and client take turns.

import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { TextGenerationService, TriviumClient } from "@trivium/client";

const NUM_ROUNDS = 7;
const NUM_CALLS = 500;
const NUM_TOKENS = 5000;
const NUM_STREAMS = 64;
const NUM_TOKENS_EACH = 200;

const PROMPT = { case: "text", value: "Once upon a time" } as const;
const counted = { input: { model: "m", prompt: PROMPT } };
const streamed = (maxOutputTokens: number) => ({
  input: { model: "m", prompt: PROMPT, sampling: { maxOutputTokens } },
});

/** A way of calling; both have the same form. */
interface Way {
  count(): Promise<unknown>;
  stream(numTokens: number): AsyncIterable<unknown>;
}

/** What one round of one way took, or the medians of several. */
interface Figures {
  readonly p50_us: number;
  readonly p99_us: number;
  readonly cpu_us: number;
}

type Work = (way: Way, record: (ms: number) => void) => Promise<void>;

const WORK: Readonly<Record<string, Work>> = {
  unary_call: async (way, record) => {
    for (let call = 0; call < NUM_CALLS; call += 1) {
      const begun = performance.now();
      await way.count();
      record(performance.now() - begun);
    }
  },
  streamed_token: (way, record) => readAll(way.stream(NUM_TOKENS), record),
  streamed_token_64_at_once: async (way, record) => {
    await Promise.all(Array.from({ length: NUM_STREAMS }, () => readAll(way.stream(NUM_TOKENS_EACH), record)));
  },
};

async function readAll(stream: AsyncIterable<unknown>, record: (ms: number) => void): Promise<void> {
  let before = performance.now();
  for await (const _ of stream) {
    const now = performance.now();
    record(now - before);
    before = now;
  }
}

async function measured(work: Work, way: Way): Promise<Figures> {
  const times: number[] = [];
  const cpu = process.cpuUsage();
  await work(way, (ms) => times.push(ms));
  const { user, system } = process.cpuUsage(cpu);
  times.sort((a, b) => a - b);
  const at = (share: number) => 1000 * (times[Math.floor(share * (times.length - 1))] ?? Number.NaN);
  return { p50_us: at(0.5), p99_us: at(0.99), cpu_us: (user + system) / times.length };
}

function medians(rounds: readonly Figures[]): Figures {
  const of = (key: keyof Figures) => {
    const sorted = rounds.map((figures) => figures[key]).sort((a, b) => a - b);
    return Number((sorted[Math.floor(sorted.length / 2)] ?? Number.NaN).toPrecision(4));
  };
  return { p50_us: of("p50_us"), p99_us: of("p99_us"), cpu_us: of("cpu_us") };
}

async function compared(work: Work, stub: Way, sdk: Way): Promise<{ stub: Figures; sdk: Figures }> {
  const rounds: { stub: Figures; sdk: Figures }[] = [];
  for (let round = 0; round <= NUM_ROUNDS; round += 1) {
    const figures = { stub: await measured(work, stub), sdk: await measured(work, sdk) };
    if (round > 0) {
      rounds.push(figures); // the first one warms up
    }
  }
  return { stub: medians(rounds.map((round) => round.stub)), sdk: medians(rounds.map((round) => round.sdk)) };
}

const server = fork(fileURLToPath(new URL("server.js", import.meta.url)));
const port = await new Promise<number>((resolve) => server.once("message", (message) => resolve(Number(message))));

const client = new TriviumClient({ target: `127.0.0.1:${port}` });
const sdk: Way = {
  count: () => client.text.countTokens(counted),
  stream: (numTokens) => client.text.streamGenerate(streamed(numTokens)),
};
const bare = createClient(
  TextGenerationService,
  createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}`, acceptCompression: [] }),
);
const stub: Way = {
  count: () => bare.countTokens(counted),
  stream: (numTokens) => bare.streamGenerate(streamed(numTokens)),
};

const runtime = `node ${process.versions.node}, @connectrpc/connect-node 2.1.1`;
const report: Record<string, unknown> = { language: "typescript", runtime, rounds: NUM_ROUNDS };
for (const [name, work] of Object.entries(WORK)) {
  report[name] = await compared(work, stub, sdk);
}
console.log(JSON.stringify(report));
client.close();
server.disconnect();
process.exit(); // the bare transport keeps its connection open
