// Embeds a question and some sentences, and orders these by how close they are: embed-compare [QUESTION [SENTENCE…]]

import { TriviumClient } from "@trivium/client";
import { program } from "./program.js";

const USAGE = "embed-compare [QUESTION [SENTENCE…]]";

await program(USAGE, { words: [0, Infinity] }, async (question = "Where is my parcel?", ...given) => {
  const sentences = given.length > 0 ? given : ["Track an order", "Change a password", "The cat sleeps."];
  const [asked, ...others] = await embedded([question, ...sentences]);

  // The vectors have length 1, so that the dot product of two is their cosine.
  const cosines = others.map((vector) => vector.reduce((sum, value, index) => sum + value * (asked?.[index] ?? 0), 0));
  const order = [...sentences.keys()].sort((a, b) => (cosines[b] ?? 0) - (cosines[a] ?? 0));
  for (const index of order) {
    console.log(`${cosines[index]?.toFixed(3)}  ${sentences[index]}`);
  }
});

async function embedded(texts: string[]): Promise<Float32Array[]> {
  const client = new TriviumClient();
  try {
    return await client.embeddings.vectors(texts, { model: "all-minilm-l6-v2" });
  } finally {
    client.close();
  }
}
