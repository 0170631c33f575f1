// Turns what connect throws about a failed call into a TriviumError. Pure.

import { Code, ConnectError } from "@connectrpc/connect";
import { statusDetails, takeTrailerDetails, trailerPushbackMs, trailerUsage } from "./details.js";
import { type ErrorKind, invalidCall, type StatusCode, TriviumError } from "./errors.js";
import type { Status } from "./gen/google/rpc/status_pb.js";
import { RefusedRequest } from "./http.js";
import { connectTrouble, isConnectionLoss, isReportedLoss } from "./trouble.js";

/** An error ready to be thrown, and what the retry policy must know beyond it. */
export interface Failure {
  readonly error: TriviumError;
  /** The server's grpc-retry-pushback-ms: negative forbids a retry, undefined leaves it to the client. */
  readonly pushbackMs?: number | undefined;
  /** Another attempt would meet the same. */
  readonly isLasting?: boolean;
}

/** Whom a client talks to. */
export interface Peer {
  /** As the caller wrote it. */
  readonly target: string;
  readonly isEncrypted: boolean;
}

/** What is told about a call that failed. */
export interface SentCall {
  readonly requestId: string;
  /** The limit that it was sent with, in milliseconds; undefined is without. */
  readonly timeoutMs: number | undefined;
}

const CODES: ReadonlyMap<number, StatusCode> = new Map([
  [Code.Canceled, "CANCELLED"],
  [Code.Unknown, "UNKNOWN"],
  [Code.InvalidArgument, "INVALID_ARGUMENT"],
  [Code.DeadlineExceeded, "DEADLINE_EXCEEDED"],
  [Code.NotFound, "NOT_FOUND"],
  [Code.AlreadyExists, "ALREADY_EXISTS"],
  [Code.PermissionDenied, "PERMISSION_DENIED"],
  [Code.ResourceExhausted, "RESOURCE_EXHAUSTED"],
  [Code.FailedPrecondition, "FAILED_PRECONDITION"],
  [Code.Aborted, "ABORTED"],
  [Code.OutOfRange, "OUT_OF_RANGE"],
  [Code.Unimplemented, "UNIMPLEMENTED"],
  [Code.Internal, "INTERNAL"],
  [Code.Unavailable, "UNAVAILABLE"],
  [Code.DataLoss, "DATA_LOSS"],
  [Code.Unauthenticated, "UNAUTHENTICATED"],
]);

/** Maps a failed call that was not cancelled on this side. hasAnswer: whether a message of its stream had arrived. */
export function readFailure(reason: unknown, call: SentCall, peer: Peer, hasAnswer: boolean): Failure {
  const failed = ConnectError.from(reason);
  if (failed.cause instanceof RefusedRequest) {
    return { error: invalidCall(failed.cause.message, failed.cause.cause, call.requestId) };
  }
  const trailers = failed.metadata;
  const details = takeTrailerDetails(trailers);
  const { code, isLoss } = classified(failed, details.reason);
  const kind: ErrorKind | undefined = !isLoss ? undefined : hasAnswer ? "connection_lost" : "server_unavailable";
  const trouble = kind === "server_unavailable" ? connectTrouble(failed, peer.target, peer.isEncrypted) : undefined;
  const error = new TriviumError(
    trouble?.message ?? passedDeadline(failed, call.timeoutMs) ?? (failed.rawMessage || code),
    {
      ...details,
      code: kind === "server_unavailable" ? "UNAVAILABLE" : code,
      kind,
      requestId: details.requestId ?? call.requestId,
      usage: trailerUsage(trailers),
      cause: reason,
    },
  );
  return { error, pushbackMs: trailerPushbackMs(trailers), isLasting: trouble?.isLasting ?? false };
}

/** Says that the call's own deadline passed; undefined where the server ended the call, or something else did. */
function passedDeadline(failed: ConnectError, timeoutMs: number | undefined): string | undefined {
  const isPassed = failed.code === Code.DeadlineExceeded && !failed.metadata.has("grpc-status");
  return isPassed && timeoutMs !== undefined ? `the deadline of the call passed: ${timeoutMs / 1000} s` : undefined;
}

function classified(failed: ConnectError, reason: string | undefined): { code: StatusCode; isLoss: boolean } {
  const code = CODES.get(failed.code) ?? "UNKNOWN";
  const isAnswered = failed.metadata.has("grpc-status");
  if (!isAnswered && isConnectionLoss(failed)) {
    return { code: "UNAVAILABLE", isLoss: true };
  }
  const isReset = (code === "INTERNAL" || code === "UNKNOWN") && isReportedLoss(failed.rawMessage);
  return { code, isLoss: reason === undefined && (code === "UNAVAILABLE" || isReset) };
}

/**
 * Returns the error of an item, document, feature or frame that failed alone, while the others of its call were answered:
 * what the `error` in its result says. requestId: of the call.
 */
export function itemError(status: Status, requestId?: string): TriviumError {
  const code = CODES.get(status.code) ?? "UNKNOWN";
  return new TriviumError(status.message || code, { requestId, ...statusDetails(status), code });
}
