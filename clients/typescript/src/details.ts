// What google.rpc.Status and the trailers of a failed call say beyond code and message. What cannot be read is left out.

import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";
import { anyUnpack, durationMs } from "@bufbuild/protobuf/wkt";
import type { FieldViolation } from "./errors.js";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RequestInfoSchema,
  RetryInfoSchema,
} from "./gen/google/rpc/error_details_pb.js";
import { type Status, StatusSchema } from "./gen/google/rpc/status_pb.js";
import { type Usage, UsageSchema } from "./gen/trivium/v1/common_pb.js";
import { takeDetails } from "./http.js";

const ERROR_DOMAIN = "trivium.v1";
const USAGE_KEY = "trivium-usage-bin";
const PUSHBACK_KEY = "grpc-retry-pushback-ms";

/** What the details of a status say. */
export interface Details {
  reason?: string;
  metadata?: Readonly<Record<string, string>>;
  fieldViolations?: readonly FieldViolation[];
  retryAfterMs?: number;
  requestId?: string;
}

/** Returns what trailers say in their status details, and takes these out. */
export function takeTrailerDetails(trailers: Headers): Details {
  const status = readBinary(StatusSchema, takeDetails(trailers));
  return status === undefined ? {} : statusDetails(status);
}

/** Returns what a status says in its details. */
export function statusDetails(status: Status): Details {
  const found: Details = {};
  for (const detail of status.details) {
    try {
      readDetail(detail, found);
    } catch {
      // a detail that is broken; the others, and the status, hold
    }
  }
  return found;
}

function readDetail(detail: Status["details"][number], found: Details): void {
  const info = anyUnpack(detail, ErrorInfoSchema);
  if (info?.domain === ERROR_DOMAIN) {
    found.reason = info.reason;
    found.metadata = info.metadata;
  }
  const badRequest = anyUnpack(detail, BadRequestSchema);
  if (badRequest) {
    found.fieldViolations = badRequest.fieldViolations.map(({ field, description }) => ({ field, description }));
  }
  const retryDelay = anyUnpack(detail, RetryInfoSchema)?.retryDelay;
  if (retryDelay) {
    found.retryAfterMs = durationMs(retryDelay);
  }
  const request = anyUnpack(detail, RequestInfoSchema);
  if (request?.requestId) {
    found.requestId = request.requestId;
  }
}

/** Returns what trailers say that the call used. */
export function trailerUsage(trailers: Headers): Usage | undefined {
  return readBinary(UsageSchema, trailers.get(USAGE_KEY));
}

/**
 * Returns the server's wish about a retry in milliseconds: negative forbids it, undefined leaves it to the client. An
 * unreadable value forbids it, as gRPC's retry design (gRFC A6) has it.
 */
export function trailerPushbackMs(trailers: Headers): number | undefined {
  const value = trailers.get(PUSHBACK_KEY);
  if (value === null) {
    return undefined;
  }
  return /^[+-]?\d+$/.test(value.trim()) ? Number(value) : -1;
}

function readBinary<Desc extends DescMessage>(schema: Desc, packed: string | null): MessageShape<Desc> | undefined {
  if (packed === null) {
    return undefined;
  }
  try {
    return fromBinary(schema, base64Decode(packed));
  } catch {
    return undefined;
  }
}
