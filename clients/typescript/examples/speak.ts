// Speaks a text into a WAV file: speak TEXT FILE

import { saveAudio, TriviumClient } from "@trivium/client";
import { program } from "./program.js";

await program("speak TEXT FILE", { words: [2, 2] }, async (text: string, path: string) => {
  const client = new TriviumClient();
  try {
    const spoken = await client.speech.speak(text, { model: "hibari-heart" });
    await saveAudio(spoken, path);
    const { seconds = 0n, nanos = 0 } = spoken.audioDuration ?? {};
    console.log(`${path}: ${(Number(seconds) + nanos / 1e9).toFixed(1)} s`);
  } finally {
    client.close();
  }
});
