import type { Message } from "@bufbuild/protobuf";
import { type CallScope, cancelled } from "./call-scope.js";
import { TriviumError } from "./errors.js";
import { IdleLimit } from "./idle-limit.js";
import type { Replay } from "./replay.js";
import type { RequestSource } from "./requests.js";
import type { Attempts } from "./retry.js";
import type { PreparedCall } from "./settings.js";
import { type Peer, readFailure } from "./status.js";
import type { StreamWatch } from "./stream-rules.js";

/** A stream whose answer has begun. The trailer is filled at its end. */
export interface OpenedStream<T extends Message> {
  readonly header: Headers;
  readonly trailer: Headers;
  readonly message: AsyncIterable<T>;
}

/** What a stream is read from. */
export interface StreamSource<T extends Message> {
  readonly call: PreparedCall;
  readonly scope: CallScope;
  readonly attempts: Attempts;
  readonly watch: StreamWatch;
  readonly peer: Peer;
  /** The requests where they come from the caller's hand: such a call is not sent again. */
  readonly live: RequestSource<unknown> | undefined;
  /** Where a stream that breaks goes on in another one. */
  readonly replay: Replay | undefined;
  /** Sends the call. */
  open(timeoutMs: number | undefined): Promise<OpenedStream<T>>;
}

/**
 * The responses of a streaming call. The call is sent when the first one is asked for.
 *
 * Reading to the end, breaking out of the `for await` loop, `close()` and the call's AbortSignal each end the call, at the
 * server too. Iterating throws TriviumError where the call fails. A stream is read once, by one reader.
 */
export class ResponseStream<T extends Message> implements AsyncIterable<T> {
  readonly #source: StreamSource<T>;
  readonly #idle: IdleLimit;
  #opened: OpenedStream<T> | undefined;
  #messages: AsyncIterator<T> | undefined;
  #hasAnswer = false;
  #loss: TriviumError | undefined;
  #isReading = false;
  #isOver = false;

  /** Made by the client's methods. */
  constructor(source: StreamSource<T>) {
    this.#source = source;
    this.#idle = new IdleLimit(source.call.idleTimeoutMs, () => this.#expire());
    if (source.live) {
      source.live.onEnd = () => this.#waitForServer();
    }
  }

  /** The request id that the call is sent with. */
  get requestId(): string {
    return this.#source.call.requestId;
  }

  [Symbol.asyncIterator](): AsyncIterator<T, undefined> {
    return {
      next: () => this.#next(),
      return: async () => {
        this.close();
        return { done: true, value: undefined };
      },
    };
  }

  /** Ends the call, at the server too. A read that waits, or comes later, fails with kind `cancelled`. May be called twice. */
  close(): void {
    this.#source.scope.abort(cancelled("the stream was closed", this.requestId));
    this.#release();
  }

  /** Called with each message before the reader gets it. */
  protected accepted(_message: T): void {}

  async #next(): Promise<IteratorResult<T, undefined>> {
    while (!this.#isOver) {
      try {
        return await this.#read();
      } catch (reason) {
        await this.#recover(reason);
      }
    }
    return { done: true, value: undefined };
  }

  async #read(): Promise<IteratorResult<T, undefined>> {
    const { scope, watch } = this.#source;
    scope.begin();
    if (scope.verdict) {
      throw scope.verdict;
    }
    this.#isReading = true;
    this.#waitForServer();
    try {
      const result = await this.#readNew();
      if (result.done) {
        watch.end();
        this.#end();
        return { done: true, value: undefined };
      }
      watch.accept(result.value);
      this.accepted(result.value);
      return { done: false, value: result.value };
    } finally {
      this.#isReading = false;
      this.#idle.end();
    }
  }

  /** Reads the next message that the reader has not had yet. */
  async #readNew(): Promise<IteratorResult<T, unknown>> {
    for (;;) {
      this.#messages ??= await this.#open();
      const result = await this.#messages.next();
      if (result.done) {
        return result;
      }
      this.#hasAnswer = true;
      const verdict = this.#source.replay?.take(result.value) ?? "new";
      if (verdict === "different") {
        throw this.#loss;
      }
      if (verdict === "new") {
        return result;
      }
      this.#waitForServer(); // anew
    }
  }

  /** The idle limit counts while this side reads and the server owes something: nothing while it listens. */
  #waitForServer(): void {
    const { live } = this.#source;
    if (this.#isReading && (!live || live.hasEnded || !this.#hasAnswer)) {
      this.#idle.begin();
    }
  }

  async #open(): Promise<AsyncIterator<T>> {
    const { attempts, call } = this.#source;
    const opened = await this.#source.open(attempts.begin());
    this.#opened = opened;
    call.options.onHeader?.(opened.header);
    return opened.message[Symbol.asyncIterator]();
  }

  #end(): void {
    this.#isOver = true;
    if (this.#opened) {
      this.#source.call.options.onTrailer?.(this.#opened.trailer);
    }
    this.#release();
  }

  /** Returns where the call is to be sent again, or was complete already; throws where it is lost. */
  async #recover(reason: unknown): Promise<void> {
    const { attempts, call, live, peer, replay, scope, watch } = this.#source;
    if (watch.isComplete) {
      // The terminal event said that everything was delivered; what follows it takes nothing away.
      this.#isOver = true;
      this.#release();
      return;
    }
    if (live?.failure && !scope.verdict) {
      this.#fail(live.failure.reason);
    }
    if (scope.verdict || reason instanceof TriviumError) {
      this.#fail(scope.verdict ?? reason);
    }
    const failed = readFailure(reason, call, peer, this.#hasAnswer);
    const mayGoOn = !live && (!this.#hasAnswer || replay);
    if (replay?.hasProgressed) {
      attempts.renew();
    }
    const delayMs = mayGoOn ? attempts.delayBeforeRetry(failed) : undefined;
    if (delayMs === undefined) {
      this.#fail(failed.error);
    }
    this.#loss = failed.error;
    replay?.restart();
    this.#messages = undefined;
    await scope.pause(delayMs);
  }

  #fail(error: unknown): never {
    this.#isOver = true;
    this.#source.scope.abort(cancelled("the stream failed", this.requestId));
    this.#release();
    throw error;
  }

  #expire(): void {
    const { call, scope } = this.#source;
    scope.abort(
      new TriviumError(`no message for ${call.idleTimeoutMs / 1000} s`, {
        code: "DEADLINE_EXCEEDED",
        kind: "stream_idle_timeout",
        requestId: call.requestId,
      }),
    );
  }

  #release(): void {
    this.#idle.stop();
    this.#source.scope.release();
  }
}
