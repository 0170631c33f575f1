// When a failed call is sent again, and after which wait. Pure: clock and randomness are passed in.

import { invalidCall } from "./errors.js";
import type { Failure } from "./status.js";

/**
 * How often and how patiently a client sends a failed call again. All times are in milliseconds.
 *
 * A streamed answer that breaks goes on in another call where the answer can be made again: with a seed or temperature 0,
 * and without log-probabilities. Then the attempts count anew from each new event.
 */
export interface RetryPolicy {
  /** How many attempts a call has, the first one counted. 1 switches retries off. Default 4. */
  readonly maxAttempts: number;
  /** The longest wait before the second attempt; doubled for each further one. Default 200. */
  readonly initialBackoffMs: number;
  /** The longest wait that is not the server's wish. Default 5000. */
  readonly maxBackoffMs: number;
  /** A server that asks for a longer wait than this gets no retry. Default 30000. */
  readonly maxRetryAfterMs: number;
}

const DEFAULTS: RetryPolicy = {
  maxAttempts: 4,
  initialBackoffMs: 200,
  maxBackoffMs: 5_000,
  maxRetryAfterMs: 30_000,
};

/** Returns the policy with its defaults. Throws invalid_call for values out of range. */
export function checkedRetryPolicy(given: Partial<RetryPolicy>): RetryPolicy {
  const policy = { ...DEFAULTS, ...given };
  if (!Number.isInteger(policy.maxAttempts) || policy.maxAttempts < 1) {
    throw invalidCall(`retry.maxAttempts is ${policy.maxAttempts}; it must be a whole number, at least 1`);
  }
  for (const name of ["initialBackoffMs", "maxBackoffMs", "maxRetryAfterMs"] as const) {
    if (!(policy[name] >= 0)) {
      throw invalidCall(`retry.${name} is ${policy[name]}; it must be 0 or more`);
    }
  }
  return policy;
}

/** When a call must be over. Counts from its making. */
export class Deadline {
  readonly #end: number | undefined;
  readonly #now: () => number;

  constructor(timeoutMs: number | undefined, now: () => number = () => performance.now()) {
    this.#now = now;
    this.#end = timeoutMs === undefined ? undefined : now() + timeoutMs;
  }

  /** The milliseconds that are left, 0 at least; undefined is without limit. */
  remainingMs(): number | undefined {
    return this.#end === undefined ? undefined : Math.max(0, this.#end - this.#now());
  }
}

/** The attempts of one call: counts them, within its deadline. Not shared between calls. */
export class Attempts {
  readonly #policy: RetryPolicy;
  readonly #deadline: Deadline;
  readonly #random: () => number;
  #made = 0;

  constructor(policy: RetryPolicy, deadline: Deadline, random: () => number = Math.random) {
    this.#policy = policy;
    this.#deadline = deadline;
    this.#random = random;
  }

  /** Counts an attempt and returns the milliseconds that it may take; undefined is without limit. */
  begin(): number | undefined {
    this.#made += 1;
    return this.#deadline.remainingMs();
  }

  /** The attempt at hand brought the call forward: it counts as the first one. */
  renew(): void {
    this.#made = 1;
  }

  /** Returns the milliseconds to wait before the next attempt, undefined where there must not be one. */
  delayBeforeRetry(failure: Failure): number | undefined {
    if (this.#made >= this.#policy.maxAttempts || !isRetriable(failure)) {
      return undefined;
    }
    const delay = this.#delay(failure);
    const remaining = this.#deadline.remainingMs();
    return delay === undefined || (remaining !== undefined && delay >= remaining) ? undefined : delay;
  }

  #delay(failure: Failure): number | undefined {
    const { maxBackoffMs, initialBackoffMs, maxRetryAfterMs } = this.#policy;
    if (failure.pushbackMs !== undefined) {
      const isWanted = failure.pushbackMs >= 0 && failure.pushbackMs <= maxRetryAfterMs;
      // Spread on top: callers that were refused together must not come back together.
      return isWanted ? failure.pushbackMs * this.#between(1, 1.2) : undefined;
    }
    const ceiling = Math.min(maxBackoffMs, initialBackoffMs * 2 ** (this.#made - 1));
    const backoff = this.#between(ceiling / 2, ceiling);
    const wanted = failure.error.retryAfterMs;
    if (wanted === undefined) {
      return backoff;
    }
    return wanted > maxRetryAfterMs ? undefined : Math.max(backoff, wanted * this.#between(1, 1.2));
  }

  #between(low: number, high: number): number {
    return low + (high - low) * this.#random();
  }
}

function isRetriable({ error, isLasting }: Failure): boolean {
  if (isLasting) {
    return false;
  }
  if (error.kind === "server_unavailable" || error.kind === "connection_lost" || error.code === "UNAVAILABLE") {
    return true;
  }
  return error.code === "RESOURCE_EXHAUSTED" && error.retryAfterMs !== undefined;
}
