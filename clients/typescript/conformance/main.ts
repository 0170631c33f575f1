#!/usr/bin/env node
// The conformance runner: a case a line from standard input, an answer a line to standard output.

import { createInterface } from "node:readline";
import type { Case } from "./cases.js";
import { runCase } from "./run-case.js";

for await (const line of createInterface({ input: process.stdin })) {
  const task = JSON.parse(line) as Case; // the suite's own program wrote it
  try {
    process.stdout.write(`${JSON.stringify(await runCase(task))}\n`);
  } catch (reason) {
    console.error(reason);
    process.stdout.write(`${JSON.stringify({ case: task.case, unsupported: String(reason) })}\n`);
  }
}
