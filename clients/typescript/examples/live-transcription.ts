// Transcribes a WAV file (16 bits, mono) as if it were spoken now: live-transcription [--fast] FILE

import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import {
  AudioEncoding,
  type MessageInitShape,
  type StreamRecognizeRequestSchema,
  TriviumClient,
} from "@trivium/client";

const CHUNK_S = 0.1;

const isFast = process.argv.includes("--fast");
const path = process.argv.slice(2).find((argument) => argument !== "--fast");
if (path === undefined) {
  throw new Error("usage: live-transcription [--fast] FILE");
}
const wav = await readFile(path);
if (wav.toString("latin1", 0, 4) !== "RIFF" || wav.readUInt16LE(22) !== 1 || wav.readUInt16LE(34) !== 16) {
  throw new Error(`${path} is no WAV file with one channel of 16 bits`);
}
const sampleRateHertz = wav.readUInt32LE(24);
const samples = wav.subarray(wav.indexOf("data", 12, "latin1") + 8);

async function* spoken(): AsyncGenerator<MessageInitShape<typeof StreamRecognizeRequestSchema>> {
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

const client = new TriviumClient();
for await (const { event } of client.speech.streamRecognize(spoken())) {
  if (event.case === "transcript") {
    const text = event.value.segment?.alternatives[0]?.text ?? "";
    console.log(event.value.isFinal ? `= ${text}` : `  ${text}`);
  }
}
client.close();
