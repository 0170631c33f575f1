/** Requests as a caller gives them: any iterable, live or not. */
export type Requests<T> = AsyncIterable<T> | Iterable<T>;

/** The caller's requests as the transport reads them: once, and remembering whether the caller's own code failed. */
export class RequestSource<T> implements AsyncIterable<T> {
  readonly #iterator: AsyncIterator<T>;
  #failure: { reason: unknown } | undefined;
  #hasEnded = false;
  /** Called when the last request was read. */
  onEnd = (): void => {};

  constructor(requests: Requests<T>) {
    const source = Symbol.asyncIterator in requests ? requests[Symbol.asyncIterator]() : requests[Symbol.iterator]();
    this.#iterator = {
      next: async () => {
        try {
          const result = await source.next();
          if (result.done) {
            this.#hasEnded = true;
            this.onEnd();
          }
          return result;
        } catch (reason) {
          this.#failure ??= { reason };
          throw reason;
        }
      },
      return: () => this.#end(source),
      throw: () => this.#end(source),
    };
  }

  /** The call is over: what the caller's code says about that has nobody to hear it. */
  async #end(source: AsyncIterator<T> | Iterator<T>): Promise<IteratorResult<T>> {
    await Promise.resolve(source.return?.()).catch(() => undefined);
    return { done: true, value: undefined };
  }

  /** Whether the last request was read. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** What the caller's code threw, if it did. */
  get failure(): { reason: unknown } | undefined {
    return this.#failure;
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    return this.#iterator;
  }
}

/** The one request of a call. */
export async function* onlyRequest<T>(request: T): AsyncGenerator<T, void, undefined> {
  yield request;
}
