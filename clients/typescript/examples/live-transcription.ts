// Transcribes a WAV file (16 bits, mono) as if it were spoken now: live-transcription [--fast] FILE

import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import {
  AudioEncoding,
  type MessageInitShape,
  type StreamRecognizeRequestSchema,
  TriviumClient,
} from "@trivium/client";
import { program } from "./program.js";

const CHUNK_S = 0.1;
const HEADER_BYTES = 44;
const isFast = process.argv.includes("--fast");

await program("live-transcription [--fast] FILE", { words: [1, 1], options: ["--fast"] }, async (path: string) => {
  const recording = await readRecording(path);
  const client = new TriviumClient();
  try {
    for await (const { event } of client.speech.streamRecognize(spoken(recording))) {
      if (event.case === "transcript") {
        const text = event.value.segment?.alternatives[0]?.text ?? "";
        console.log(event.value.isFinal ? `= ${text}` : `  ${text}`);
      }
    }
  } finally {
    client.close();
  }
});

interface Recording {
  readonly sampleRateHertz: number;
  readonly samples: Uint8Array;
}

async function readRecording(path: string): Promise<Recording> {
  const wav = await readFile(path);
  const isWav = wav.length >= HEADER_BYTES && wav.toString("latin1", 0, 4) === "RIFF";
  if (!isWav || wav.readUInt16LE(22) !== 1 || wav.readUInt16LE(34) !== 16) {
    throw new Error(`${path} is no WAV file with one channel of 16 bits`);
  }
  return { sampleRateHertz: wav.readUInt32LE(24), samples: wav.subarray(wav.indexOf("data", 12, "latin1") + 8) };
}

async function* spoken({
  sampleRateHertz,
  samples,
}: Recording): AsyncGenerator<MessageInitShape<typeof StreamRecognizeRequestSchema>> {
  const format = { encoding: AudioEncoding.PCM_S16LE, sampleRateHertz };
  const setup = { config: { model: "moonshine-tiny-en", format }, interimResults: true };
  yield { request: { case: "setup", value: setup } };
  const chunkBytes = 2 * Math.round(sampleRateHertz * CHUNK_S);
  for (let start = 0; start < samples.length; start += chunkBytes) {
    yield { request: { case: "audio", value: samples.subarray(start, start + chunkBytes) } };
    if (!isFast) {
      await sleep(1000 * CHUNK_S);
    }
  }
}
