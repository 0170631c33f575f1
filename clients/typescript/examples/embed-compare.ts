// Embeds a question and some sentences, and orders these by how close they are: embed-compare [QUESTION SENTENCE…]

import { TriviumClient } from "@trivium/client";

const [question = "Where is my parcel?", ...given] = process.argv.slice(2);
const sentences = given.length > 0 ? given : ["Track an order", "Change a password", "The cat sleeps."];

const client = new TriviumClient();
const [asked, ...others] = await client.embeddings.vectors([question, ...sentences], { model: "all-minilm-l6-v2" });
client.close();

// The vectors have length 1, so that the dot product of two is their cosine.
const cosines = others.map((vector) => vector.reduce((sum, value, index) => sum + value * (asked?.[index] ?? 0), 0));
const order = [...sentences.keys()].sort((a, b) => (cosines[b] ?? 0) - (cosines[a] ?? 0));
for (const index of order) {
  console.log(`${cosines[index]?.toFixed(3)}  ${sentences[index]}`);
}
