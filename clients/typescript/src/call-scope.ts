// How long a call lives: until it is over, or somebody on this side ends it.

import { Code, ConnectError } from "@connectrpc/connect";
import { TriviumError } from "./errors.js";

/** The calls of a client that are under way. */
export class OpenCalls {
  readonly #scopes = new Set<CallScope>();
  readonly #groups = new Map<AbortSignal, SignalGroup>();
  #isClosed = false;

  /** Takes a call that begins. It is aborted at once where the client is closed or the caller's signal is aborted. */
  add(scope: CallScope): void {
    this.#scopes.add(scope);
    const signal = scope.callersSignal;
    if (this.#isClosed) {
      scope.abort(cancelled("the client was closed", scope.requestId));
    } else if (signal) {
      const group = this.#groups.get(signal) ?? new SignalGroup(signal);
      this.#groups.set(signal, group);
      group.add(scope);
    }
  }

  /** Forgets a call that is over. */
  delete(scope: CallScope): void {
    this.#scopes.delete(scope);
    const signal = scope.callersSignal;
    if (signal && this.#groups.get(signal)?.delete(scope)) {
      this.#groups.delete(signal);
    }
  }

  /** Ends all calls, and those that come. */
  close(): void {
    this.#isClosed = true;
    for (const scope of this.#scopes) {
      scope.abort(cancelled("the client was closed", scope.requestId));
    }
  }
}

/** The calls with one signal of a caller. They share a listener: Node warns of a leak where a signal has more than ten. */
class SignalGroup {
  readonly #scopes = new Set<CallScope>();

  constructor(readonly signal: AbortSignal) {
    signal.addEventListener("abort", this.#onAbort);
  }

  readonly #onAbort = () => {
    for (const scope of this.#scopes) {
      scope.abort(cancelled("the call was cancelled", scope.requestId, this.signal.reason));
    }
  };

  add(scope: CallScope): void {
    this.#scopes.add(scope);
    if (this.signal.aborted) {
      this.#onAbort();
    }
  }

  /** Tells whether it was the last one. */
  delete(scope: CallScope): boolean {
    this.#scopes.delete(scope);
    if (this.#scopes.size > 0) {
      return false;
    }
    this.signal.removeEventListener("abort", this.#onAbort);
    return true;
  }
}

/** One call. Its signal is aborted when the call is ended on this side; `verdict` says why. */
export class CallScope {
  readonly #controller = new AbortController();
  #hasBegun = false;
  #verdict: TriviumError | undefined;

  constructor(
    readonly requestId: string,
    readonly callersSignal: AbortSignal | undefined,
    readonly calls: OpenCalls,
  ) {}

  /** The call begins: from here on the caller's signal and the client end it. May be called again. */
  begin(): void {
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      this.calls.add(this);
    }
  }

  /** What the transport is given. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The error that the call ends with since it was ended here; undefined while it was not. */
  get verdict(): TriviumError | undefined {
    return this.#verdict;
  }

  /** Ends the call at the server. Only the first verdict counts. */
  abort(verdict: TriviumError): void {
    if (this.#verdict === undefined) {
      this.#verdict = verdict;
      this.#controller.abort(new ConnectError(verdict.message, Code.Canceled));
    }
  }

  /** Waits. Returns early where the call is ended. */
  async pause(delayMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      if (this.signal.aborted) {
        resolve();
        return;
      }
      const done = () => {
        clearTimeout(timer);
        this.signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, delayMs);
      this.signal.addEventListener("abort", done);
    });
  }

  /** Lets go of the caller's signal and the client. The call is over. */
  release(): void {
    this.calls.delete(this);
  }
}

/** Returns the error of a call that was ended on this side. */
export function cancelled(message: string, requestId: string, cause?: unknown): TriviumError {
  return new TriviumError(message, { code: "CANCELLED", kind: "cancelled", requestId, cause });
}
