// Wraps the HTTP client below connect's gRPC transports, so that a failed call keeps its status and a refused request is
// never sent. UniversalClientFn is no stable interface of connect, whose version package.json therefore pins.

import { ConnectError } from "@connectrpc/connect";
import type { UniversalClientFn, UniversalClientResponse } from "@connectrpc/connect/protocol";

const STATUS_DETAILS_KEY = "grpc-status-details-bin";
const KEPT_DETAILS_KEY = "trivium-kept-status-details";
const MESSAGE_KEY = "grpc-message";

/** Takes the packed google.rpc.Status out of the trailers of a call that `readable` made; null where there is none. */
export function takeDetails(trailers: Headers): string | null {
  const details = trailers.get(KEPT_DETAILS_KEY) ?? trailers.get(STATUS_DETAILS_KEY);
  trailers.delete(KEPT_DETAILS_KEY);
  return details;
}

/**
 * Hides from connect what would make it lose a call's status: it reports details or a message that it cannot read instead
 * of the status that they came with. Code and message then come from the status; details are found by `takeDetails`.
 */
export function keepStatus(headers: Headers): void {
  const details = headers.get(STATUS_DETAILS_KEY);
  if (details !== null) {
    headers.delete(STATUS_DETAILS_KEY);
    headers.set(KEPT_DETAILS_KEY, details);
  }
  const message = headers.get(MESSAGE_KEY);
  if (message !== null) {
    headers.set(MESSAGE_KEY, encodeURIComponent(percentDecoded(message)));
  }
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Returns a client whose responses keep their status. */
export function readable(client: UniversalClientFn): UniversalClientFn {
  return async (request) => {
    const response = await client(request);
    keepStatus(response.header);
    return { ...response, body: withEnd(response, () => keepStatus(response.trailer)) };
  };
}

function withEnd(response: UniversalClientResponse, atEnd: () => void): AsyncIterable<Uint8Array> {
  return {
    [Symbol.asyncIterator]() {
      const source = response.body[Symbol.asyncIterator]();
      const iterator: AsyncIterator<Uint8Array> = {
        async next() {
          const result = await source.next();
          if (result.done) {
            atEnd();
          }
          return result;
        },
      };
      if (source.throw) {
        iterator.throw = (reason) => source.throw?.(reason) ?? Promise.reject(reason);
      }
      return iterator;
    },
  };
}

/** A request that could not be serialized, or is too large. */
export class RefusedRequest extends Error {
  override readonly name = "RefusedRequest";

  constructor(cause: unknown) {
    const message = cause instanceof ConnectError ? cause.rawMessage : String(cause);
    super(message.replace("configured writeMaxBytes", "maxMessageBytes"), { cause });
  }
}

/** Returns a client for calls with one request, which sends nothing of one that is refused. */
export function sendingOne(client: UniversalClientFn): UniversalClientFn {
  return async (request) => {
    if (request.body === undefined) {
      return client(request);
    }
    const pieces = refusing(request.body)[Symbol.asyncIterator]();
    const first = await pieces.next();
    return client({ ...request, body: resumed(first, pieces) });
  };
}

/** Returns a client for calls with a stream of requests, which tells a refused request from a failed call. */
export function sendingMany(client: UniversalClientFn): UniversalClientFn {
  return async (request) => client(request.body === undefined ? request : { ...request, body: refusing(request.body) });
}

function refusing(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  return {
    [Symbol.asyncIterator]() {
      const source = body[Symbol.asyncIterator]();
      const iterator: AsyncIterator<Uint8Array> = {
        next: () =>
          source.next().catch((reason: unknown) => {
            throw new RefusedRequest(reason);
          }),
      };
      if (source.throw) {
        iterator.throw = (reason) => source.throw?.(reason) ?? Promise.reject(reason);
      }
      return iterator;
    },
  };
}

async function* resumed(
  first: IteratorResult<Uint8Array>,
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let piece = first; !piece.done; piece = await rest.next()) {
    yield piece.value;
  }
}
