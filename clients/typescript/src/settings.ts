// What a client and a call can be told, with its defaults and its limits.

import { invalidCall } from "./errors.js";
import { checkedMetadata, checkToken, type Metadata, requestHeaders } from "./metadata.js";
import { checkedRetryPolicy, type RetryPolicy } from "./retry.js";
import { VERSION } from "./version.js";

/** What the clients for Node and for browsers have in common. All times are in milliseconds. */
export interface ClientOptions {
  /** Sent as `authorization: Bearer …`. Printable ASCII without blanks. Never shown in an error. */
  readonly token?: string | undefined;
  /** Sent with every call. */
  readonly metadata?: Metadata | undefined;
  /** How long a call with one response may take, over all its attempts. Default 60000. */
  readonly timeoutMs?: number | undefined;
  /**
   * How long a stream may bring no message, where the server owes one, before it fails; heartbeats count. It owes none
   * while it listens to a stream of requests that it has accepted. Infinity: for ever. Default 60000.
   */
  readonly idleTimeoutMs?: number | undefined;
  /** The largest message, both ways. Default 16 MiB, the server's own. */
  readonly maxMessageBytes?: number | undefined;
  /** When failed calls are sent again; what is absent has its default. */
  readonly retry?: Partial<RetryPolicy> | undefined;
}

/** What every call may be told. All times are in milliseconds. */
export interface CallOptions {
  /** Cancels the call when it is aborted. The call fails with kind `cancelled`; the signal's reason is its cause. */
  readonly signal?: AbortSignal | undefined;
  /** How long it may take. Absent: the client's for a call with one response, no limit for a stream. */
  readonly timeoutMs?: number | undefined;
  /**
   * Of a stream, how long it may bring no message. Infinity: for ever. Absent: the client's; for ever where a stream may be
   * quiet, as those of watchModels, loadModel and health.watch.
   */
  readonly idleTimeoutMs?: number | undefined;
  /** Names the call in the server's log: 1 to 128 of `A-Z a-z 0-9 . _ : / + = @ -`. Absent: a random UUID. */
  readonly requestId?: string | undefined;
  /** Sent beside the client's own; wins over it. */
  readonly metadata?: Metadata | undefined;
  /** Called with the metadata that the server sends before its first message. */
  readonly onHeader?: ((headers: Headers) => void) | undefined;
  /** Called with the metadata that the server sends at the end of a call that succeeds. */
  readonly onTrailer?: ((trailers: Headers) => void) | undefined;
}

/** The longest time that the wire (8 digits of milliseconds) and timers (31 bits) can both say: 27 hours. */
const MAX_TIMEOUT_MS = 99_999_999;

const REQUEST_ID = /^[A-Za-z0-9._:/+=@-]{1,128}$/;

/** A client's options with their defaults, checked. */
export class Settings {
  readonly timeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxMessageBytes: number;
  readonly retry: RetryPolicy;
  readonly #metadata: Metadata;
  readonly #token: string | undefined;
  readonly #clientName: string;

  /** runtime: what runs this code, as name/version. Throws invalid_call for values that cannot be used. */
  constructor(options: ClientOptions, runtime: string) {
    checkToken(options.token);
    this.#token = options.token;
    this.#metadata = checkedMetadata(options.metadata ?? {});
    this.#clientName = `trivium-typescript/${VERSION} ${runtime}`;
    this.timeoutMs = checkedLimit("timeoutMs", options.timeoutMs ?? 60_000);
    this.idleTimeoutMs = checkedLimit("idleTimeoutMs", options.idleTimeoutMs ?? 60_000);
    this.maxMessageBytes = options.maxMessageBytes ?? 16 * 1024 * 1024;
    if (!Number.isInteger(this.maxMessageBytes) || this.maxMessageBytes < 1 || this.maxMessageBytes > 0xffffffff) {
      throw invalidCall(`maxMessageBytes is ${this.maxMessageBytes}; it must be a whole number from 1 to 2^32 - 1`);
    }
    this.retry = checkedRetryPolicy(options.retry ?? {});
  }

  /** Returns the headers of a call; the same for all its attempts. */
  headers(requestId: string, metadata: Metadata): Headers {
    const own: Record<string, string> = { "x-request-id": requestId, "trivium-client": this.#clientName };
    if (this.#token !== undefined) {
      own.authorization = `Bearer ${this.#token}`;
    }
    return requestHeaders(own, this.#metadata, metadata);
  }
}

/** What one call is sent with. */
export interface PreparedCall {
  readonly requestId: string;
  readonly headers: Headers;
  /** Of all attempts together; undefined is without limit. */
  readonly timeoutMs: number | undefined;
  readonly idleTimeoutMs: number;
  readonly options: CallOptions;
}

/** Returns what a call is sent with. Throws invalid_call for options that cannot be used. */
export function prepared(settings: Settings, options: CallOptions, isStream: boolean): PreparedCall {
  const requestId = options.requestId ?? randomId();
  if (!REQUEST_ID.test(requestId)) {
    throw invalidCall(
      `requestId is ${JSON.stringify(requestId)}; it must be 1 to 128 characters of A-Z, a-z, 0-9 and . _ : / + = @ -`,
    );
  }
  const timeoutMs = options.timeoutMs ?? (isStream ? undefined : settings.timeoutMs);
  return {
    requestId,
    headers: settings.headers(requestId, checkedMetadata(options.metadata ?? {})),
    timeoutMs: timeoutMs === undefined ? undefined : Math.min(checkedLimit("timeoutMs", timeoutMs), MAX_TIMEOUT_MS),
    idleTimeoutMs: checkedLimit("idleTimeoutMs", options.idleTimeoutMs ?? settings.idleTimeoutMs),
    options,
  };
}

/** crypto.randomUUID is there only on pages that were loaded safely. */
function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function checkedLimit(name: string, value: number): number {
  if (typeof value !== "number" || !(value > 0)) {
    throw invalidCall(`${name} is ${value}; it must be more than 0`);
  }
  return value;
}
