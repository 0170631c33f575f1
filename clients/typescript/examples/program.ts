// What the examples have in common: the words of their command line, and what is said where they fail.

/** What may stand on an example's command line. */
export interface CommandLine {
  /** The fewest and the most words, options not counted. */
  readonly words: readonly [number, number];
  /** The options, with their dashes. */
  readonly options?: readonly string[];
}

/**
 * Runs an example with the words of its command line. One line to standard error, and the exit code 1, say that it failed
 * or that these are not what the usage says.
 */
export async function program(
  usage: string,
  { words: [fewest, most], options = [] }: CommandLine,
  main: (...words: string[]) => Promise<void>,
): Promise<void> {
  const words = process.argv.slice(2).filter((word) => !options.includes(word));
  if (words.length < fewest || words.length > most || words.some((word) => word.startsWith("-"))) {
    fail(`usage: ${usage}`);
    return;
  }
  try {
    await main(...words);
  } catch (error) {
    fail(error instanceof Error ? error.message : String(error));
  }
}

function fail(message: string): void {
  console.error(message);
  process.exitCode = 1;
}
