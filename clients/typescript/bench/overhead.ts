// What this client adds to a call of the bare transport, against a scripted server in another process. Prints a line of
// JSON: milliseconds at the 50th and 99th percentile, and microseconds of this process's CPU, in rounds that take turns.

import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { TextGenerationService, TriviumClient } from "@trivium/client";

const NUM_ROUNDS = 6;
const NUM_CALLS = 500;
const NUM_TOKENS = 5000;
const NUM_STREAMS = 64;
const NUM_TOKENS_EACH = 200;

const PROMPT = { case: "text", value: "Once upon a time" } as const;
const counted = { input: { model: "m", prompt: PROMPT } };
const streamed = (maxOutputTokens: number) => ({
  input: { model: "m", prompt: PROMPT, sampling: { maxOutputTokens } },
});

/** Both ways of calling, in the same form. */
interface Way {
  count(): Promise<unknown>;
  stream(numTokens: number): AsyncIterable<unknown>;
}

/** Times of single steps in milliseconds, and the CPU that they took together in microseconds. */
class Sample {
  readonly times: number[] = [];
  cpuMicros = 0;
  wallMs = 0;

  /** The figures for a report; count: how many calls or tokens there were. */
  figures(count: number): Record<string, number> {
    const sorted = this.times.toSorted((a, b) => a - b);
    const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN;
    return {
      ...(sorted.length > 0 ? { p50_ms: rounded(at(0.5)), p99_ms: rounded(at(0.99)) } : {}),
      cpu_us: rounded(this.cpuMicros / count),
      per_s: Math.round(count / (this.wallMs / 1000)),
    };
  }
}

const rounded = (value: number) => Number(value.toPrecision(4));

async function measured(sample: Sample, run: (record: (ms: number) => void) => Promise<void>): Promise<void> {
  const cpu = process.cpuUsage();
  const begun = performance.now();
  await run((ms) => sample.times.push(ms));
  sample.wallMs += performance.now() - begun;
  const { user, system } = process.cpuUsage(cpu);
  sample.cpuMicros += user + system;
}

async function readAll(stream: AsyncIterable<unknown>, record?: (ms: number) => void): Promise<void> {
  let before = performance.now();
  for await (const _ of stream) {
    const now = performance.now();
    record?.(now - before);
    before = now;
  }
}

const server = fork(fileURLToPath(new URL("server.js", import.meta.url)));
const port = await new Promise<number>((resolve) => server.once("message", (message) => resolve(Number(message))));

const client = new TriviumClient({ target: `127.0.0.1:${port}` });
const bare = createClient(
  TextGenerationService,
  createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}`, acceptCompression: [] }),
);
const ways: Readonly<Record<string, Way>> = {
  bare: { count: () => bare.countTokens(counted), stream: (tokens) => bare.streamGenerate(streamed(tokens)) },
  client: {
    count: () => client.text.countTokens(counted),
    stream: (tokens) => client.text.streamGenerate(streamed(tokens)),
  },
};

const report: Record<string, Record<string, Record<string, number>>> = { unary: {}, token: {}, streams_64: {} };
for (const name of Object.keys(report)) {
  const samples = Object.fromEntries(Object.keys(ways).map((way) => [way, new Sample()]));
  for (let round = -1; round < NUM_ROUNDS; round += 1) {
    for (const [way, calls] of Object.entries(ways)) {
      const sample = round < 0 ? new Sample() : samples[way]; // the first round warms up
      if (sample) {
        await measured(sample, (record) => work(name, calls, record));
      }
    }
  }
  for (const [way, sample] of Object.entries(samples)) {
    (report[name] ??= {})[way] = sample.figures(NUM_ROUNDS * size(name));
  }
}

function size(name: string): number {
  return name === "unary" ? NUM_CALLS : name === "token" ? NUM_TOKENS : NUM_STREAMS * NUM_TOKENS_EACH;
}

async function work(name: string, calls: Way, record: (ms: number) => void): Promise<void> {
  if (name === "unary") {
    for (let call = 0; call < NUM_CALLS; call += 1) {
      const begun = performance.now();
      await calls.count();
      record(performance.now() - begun);
    }
  } else if (name === "token") {
    await readAll(calls.stream(NUM_TOKENS), record);
  } else {
    await Promise.all(Array.from({ length: NUM_STREAMS }, () => readAll(calls.stream(NUM_TOKENS_EACH))));
  }
}

console.log(JSON.stringify({ language: "typescript", node: process.versions.node, ...report }));
client.close();
server.disconnect();
process.exit(); // the bare transport keeps its connection open
