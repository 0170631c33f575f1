// Prints what is written in an image: read-image FILE

import { imageFromFile, TriviumClient } from "@trivium/client";
import { program } from "./program.js";

await program("read-image FILE", { words: [1, 1] }, async (path: string) => {
  const image = await imageFromFile(path);
  const client = new TriviumClient();
  try {
    const read = await client.vision.readText(image, { model: "pp-ocrv6-small" });
    for (const line of read.lines) {
      console.log(`${line.score.toFixed(2)}  ${line.text}`);
    }
  } finally {
    client.close();
  }
});
