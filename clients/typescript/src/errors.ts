// The one error of this package. Node, browser and connect errors stay inside it, as its `cause`.

import type { Usage } from "./gen/trivium/v1/common_pb.js";
import type { ErrorReason as ErrorReasonEnum } from "./gen/trivium/v1/errors_pb.js";

/** The gRPC status of a failed call. */
export type StatusCode =
  | "CANCELLED"
  | "UNKNOWN"
  | "INVALID_ARGUMENT"
  | "DEADLINE_EXCEEDED"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "PERMISSION_DENIED"
  | "RESOURCE_EXHAUSTED"
  | "FAILED_PRECONDITION"
  | "ABORTED"
  | "OUT_OF_RANGE"
  | "UNIMPLEMENTED"
  | "INTERNAL"
  | "UNAVAILABLE"
  | "DATA_LOSS"
  | "UNAUTHENTICATED";

/** The reasons that the contract knows: the values of ErrorReason without their prefix. */
export type KnownErrorReason = Exclude<keyof typeof ErrorReasonEnum, "UNSPECIFIED">;

/** Why a call failed, as the server says it: one of KnownErrorReason, or one that a newer server made. */
export type ErrorReason = KnownErrorReason | (string & {});

/**
 * What this client says about a failure itself:
 *
 * - `server_unavailable`: no server was reached, or it was lost before the first message of the answer;
 * - `connection_lost`: the connection broke after the first message, and the call could not go on, see RetryPolicy;
 * - `truncated_stream`: a stream ended well without its terminal event, or an event of it is missing;
 * - `stream_idle_timeout`: a stream brought no message for the idle timeout, and was cancelled;
 * - `cancelled`: the caller cancelled, or the client was closed;
 * - `invalid_call`: an argument was refused; nothing was sent.
 */
export type ErrorKind =
  "server_unavailable" | "connection_lost" | "truncated_stream" | "stream_idle_timeout" | "cancelled" | "invalid_call";

/** A wrong field of the request. */
export interface FieldViolation {
  /** Its path, for example `input.sampling.top_p`. */
  readonly field: string;
  /** What is wrong with it, with the limit. */
  readonly description: string;
}

/** Under which name Node looks for a form to print; a symbol of the registry, so that a browser has it too. */
const INSPECT = Symbol.for("nodejs.util.inspect.custom");

/** What a TriviumError is made of; what is absent is not known. */
export interface ErrorParts {
  code: StatusCode;
  kind?: ErrorKind | undefined;
  reason?: ErrorReason | undefined;
  metadata?: Readonly<Record<string, string>> | undefined;
  fieldViolations?: readonly FieldViolation[] | undefined;
  retryAfterMs?: number | undefined;
  requestId?: string | undefined;
  usage?: Usage | undefined;
  cause?: unknown;
}

/**
 * A call failed. Everything that this client throws about a call or a setting is one of these.
 *
 * The reason tells best what to do; docs/errors.md of Trivium lists all of them. Where no Trivium server made the error
 * there is none, and `kind` or `code` tells. In Node, `console.log` shows it without its `cause`.
 */
export class TriviumError extends Error {
  /** The gRPC status. */
  readonly code: StatusCode;
  /** What this client says itself; undefined where the server answered with an error. */
  readonly kind: ErrorKind | undefined;
  /** Why, as the server says it; undefined where no Trivium server made the error. */
  readonly reason: ErrorReason | undefined;
  /** What varies in the message, by name; the error catalogue says which names a reason has. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The wrong fields of the request. */
  readonly fieldViolations: readonly FieldViolation[];
  /** After how many milliseconds the server wants the call to be sent again; undefined where it named no time. */
  readonly retryAfterMs: number | undefined;
  /** Finds the call in the server's log: the server's own id, else the one that was sent. */
  readonly requestId: string | undefined;
  /** What the call used before it failed; undefined where the server did not say. */
  readonly usage: Usage | undefined;

  constructor(message: string, parts: ErrorParts) {
    super(message, "cause" in parts ? { cause: parts.cause } : undefined);
    this.code = parts.code;
    this.kind = parts.kind;
    this.reason = parts.reason;
    this.metadata = parts.metadata ?? {};
    this.fieldViolations = parts.fieldViolations ?? [];
    this.retryAfterMs = parts.retryAfterMs;
    this.requestId = parts.requestId;
    this.usage = parts.usage;
  }

  override get name(): "TriviumError" {
    return "TriviumError";
  }

  /** What console.log shows in Node. */
  [INSPECT](_depth: number, options: object, inspect: (value: unknown, options: object) => string): string {
    const known = Object.entries(this).filter(([, value]) => !isEmpty(value));
    return `${this.stack} ${inspect(Object.fromEntries(known), options)}`;
  }
}

/** Tells whether a part of an error says nothing. */
function isEmpty(part: unknown): boolean {
  return part === undefined || (typeof part === "object" && part !== null && Object.keys(part).length === 0);
}

/** Returns the error of an argument that this client refuses; nothing was sent. */
export function invalidCall(message: string, cause?: unknown, requestId?: string): TriviumError {
  return new TriviumError(message, {
    code: "INVALID_ARGUMENT",
    kind: "invalid_call",
    requestId,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Returns the error of a stream that lacks something. */
export function truncatedStream(message: string, requestId: string): TriviumError {
  return new TriviumError(message, { code: "DATA_LOSS", kind: "truncated_stream", requestId });
}
