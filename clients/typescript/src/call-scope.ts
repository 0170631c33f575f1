// How long a call lives: until it is over, or somebody on this side ends it.

import { Code, ConnectError } from "@connectrpc/connect";
import { TriviumError } from "./errors.js";

/** The calls of a client that are under way. */
export class OpenCalls {
  readonly #scopes = new Set<CallScope>();
  #isClosed = false;

  /** Takes a call that begins. It is aborted at once where the client is closed. */
  add(scope: CallScope): void {
    if (this.#isClosed) {
      scope.abort(cancelled("the client was closed", scope.requestId));
    }
    this.#scopes.add(scope);
  }

  /** Forgets a call that is over. */
  delete(scope: CallScope): void {
    this.#scopes.delete(scope);
  }

  /** Ends all calls, and those that come. */
  close(): void {
    this.#isClosed = true;
    for (const scope of this.#scopes) {
      scope.abort(cancelled("the client was closed", scope.requestId));
    }
  }
}

/** One call. Its signal is aborted when the call is ended on this side; `verdict` says why. */
export class CallScope {
  readonly requestId: string;
  readonly #controller = new AbortController();
  readonly #callersSignal: AbortSignal | undefined;
  readonly #calls: OpenCalls;
  #hasBegun = false;
  #verdict: TriviumError | undefined;

  constructor(requestId: string, callersSignal: AbortSignal | undefined, calls: OpenCalls) {
    this.requestId = requestId;
    this.#callersSignal = callersSignal;
    this.#calls = calls;
  }

  /** The call begins: from here on the caller's signal and the client end it. May be called again. */
  begin(): void {
    if (this.#hasBegun) {
      return;
    }
    this.#hasBegun = true;
    this.#calls.add(this);
    if (this.#callersSignal?.aborted) {
      this.#onAbort();
    } else {
      this.#callersSignal?.addEventListener("abort", this.#onAbort);
    }
  }

  readonly #onAbort = () => {
    this.abort(cancelled("the call was cancelled", this.requestId, this.#callersSignal?.reason));
  };

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
    this.#callersSignal?.removeEventListener("abort", this.#onAbort);
    this.#calls.delete(this);
  }
}

/** Returns the error of a call that was ended on this side. */
export function cancelled(message: string, requestId: string, cause?: unknown): TriviumError {
  return new TriviumError(message, { code: "CANCELLED", kind: "cancelled", requestId, cause });
}
