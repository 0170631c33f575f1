// Prints what is written in an image: read-image FILE

import { imageFromFile, TriviumClient } from "@trivium/client";

const [path] = process.argv.slice(2);
if (path === undefined) {
  throw new Error("usage: read-image FILE");
}
const client = new TriviumClient();
const read = await client.vision.readText(await imageFromFile(path), { model: "pp-ocrv6-small" });
client.close();
for (const line of read.lines) {
  console.log(`${line.score.toFixed(2)}  ${line.text}`);
}
