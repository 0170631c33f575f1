// Speaks a text into a WAV file: speak TEXT FILE

import { saveAudio, TriviumClient } from "@trivium/client";

const [text, path] = process.argv.slice(2);
if (text === undefined || path === undefined) {
  throw new Error("usage: speak TEXT FILE");
}
const client = new TriviumClient();
const spoken = await client.speech.speak(text, { model: "hibari-heart" });
client.close();
await saveAudio(spoken, path);
const { seconds = 0n, nanos = 0 } = spoken.audioDuration ?? {};
console.log(`${path}: ${(Number(seconds) + nanos / 1e9).toFixed(1)} s`);
