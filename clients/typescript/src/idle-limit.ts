/** The longest that timers can wait: 31 bits of milliseconds. */
const MAX_TIMER_MS = 0x7fffffff;

/** Limits how long a read may take. No timer is set while no read waits, and a read seldom sets one of its own. */
export class IdleLimit {
  readonly #limitMs: number;
  readonly #expire: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #waitsSince: number | undefined;

  /** expire: called when a read took longer than limitMs; Infinity is without limit. */
  constructor(limitMs: number, expire: () => void) {
    this.#limitMs = limitMs;
    this.#expire = expire;
  }

  /** A read begins. */
  begin(): void {
    this.#waitsSince = performance.now();
    if (this.#timer === undefined && this.#limitMs !== Number.POSITIVE_INFINITY) {
      this.#set(this.#limitMs);
    }
  }

  /** The read is over. */
  end(): void {
    this.#waitsSince = undefined;
  }

  /** There are no more reads. */
  stop(): void {
    this.end();
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #set(delayMs: number): void {
    this.#timer = setTimeout(() => this.#look(), Math.min(delayMs, MAX_TIMER_MS));
    if (typeof this.#timer === "object") {
      this.#timer.unref(); // in Node: the connection keeps a program alive, not the limit of a stream that it dropped
    }
  }

  #look(): void {
    this.#timer = undefined;
    if (this.#waitsSince === undefined) {
      return;
    }
    const leftMs = this.#waitsSince + this.#limitMs - performance.now();
    if (leftMs > 0) {
      this.#set(leftMs);
    } else {
      this.#expire();
    }
  }
}
