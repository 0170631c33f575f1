// Prints an answer while it is made: chat-stream [PROMPT]

import { TriviumClient } from "@trivium/client";

const prompt = process.argv[2] ?? "What is photosynthesis, in one sentence?";
const client = new TriviumClient();
const answer = client.text.stream(prompt, { model: "smollm2-135m-instruct", sampling: { maxOutputTokens: 100 } });
for await (const piece of answer.pieces()) {
  process.stdout.write(piece);
}
console.log(`\n${answer.completed?.info?.usage?.tokens?.outputTokens} tokens`);
client.close();
