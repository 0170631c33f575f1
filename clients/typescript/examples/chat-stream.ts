// Prints an answer while it is made: chat-stream [PROMPT]

import { TriviumClient } from "@trivium/client";
import { program } from "./program.js";

await program(
  "chat-stream [PROMPT]",
  { words: [0, 1] },
  async (prompt = "What is photosynthesis, in one sentence?") => {
    const client = new TriviumClient();
    try {
      const answer = client.text.stream(prompt, { model: "smollm2-135m-instruct", sampling: { maxOutputTokens: 100 } });
      for await (const piece of answer.pieces()) {
        process.stdout.write(piece);
      }
      console.log(`\n${answer.completed?.info?.usage?.tokens?.outputTokens} tokens`);
    } finally {
      client.close();
    }
  },
);
