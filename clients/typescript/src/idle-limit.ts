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
    this.#keepAlive(true);
    if (this.#timer === undefined && this.#limitMs !== Number.POSITIVE_INFINITY) {
      this.#set(this.#limitMs);
    }
  }

  /** The read is over. */
  end(): void {
    this.#waitsSince = undefined;
    this.#keepAlive(false);
  }

  /** There are no more reads. */
  stop(): void {
    this.end();
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #set(delayMs: number): void {
    this.#timer = setTimeout(() => this.#look(), Math.min(delayMs, MAX_TIMER_MS));
    this.#keepAlive(this.#waitsSince !== undefined);
  }

  /** In Node: a read that waits keeps the program alive, even where its connection does not; a dropped stream does not. */
  #keepAlive(doesWait: boolean): void {
    if (typeof this.#timer === "object") {
      if (doesWait) {
        this.#timer.ref();
      } else {
        this.#timer.unref();
      }
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
