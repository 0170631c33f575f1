// HTTP/2 as connect's gRPC transport wants it. What has come of a response stays readable when its connection breaks, which
// connect-node's own client does not keep.

import { type ClientHttp2Stream, constants, type IncomingHttpHeaders } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import type { UniversalClientFn } from "@connectrpc/connect/protocol";
import type { Http2SessionManager } from "@connectrpc/connect-node";
import type { Sessions } from "./node-sessions.js";
import { LOST_WITHOUT_STATUS, RESET } from "./trouble.js";

/** How much of a response may wait for its reader before the server is held back, beside HTTP/2's own window. */
const QUEUE_BYTES = 64 * 1024;

/** Returns a client that sends each request over the session that is next. */
export function http2Client(sessions: Sessions): UniversalClientFn {
  return async ({ url, method, header, body, signal }) => {
    const session = await unlessAborted(sessions.next(), signal);
    const { pathname } = new URL(url);
    const opening = session.request(method, pathname, Object.fromEntries(header), {});
    const stream = await unlessAborted(opening, signal).catch((reason: unknown) => {
      opening.then(cancel, () => undefined);
      throw reason;
    });
    if (stream.session) {
      sessions.made(stream.session);
    }
    const exchange = new Exchange(stream, session, signal);
    void exchange.send(body);
    const headers = await exchange.response;
    return {
      status: Number(headers[":status"]),
      header: webHeaders(headers),
      body: exchange,
      trailer: exchange.trailer,
    };
  };
}

/** A request and its response. Iterating gives the response's body, once. */
class Exchange implements AsyncIterable<Uint8Array> {
  readonly trailer = new Headers();
  readonly response: Promise<IncomingHttpHeaders>;
  readonly #stream: ClientHttp2Stream;
  readonly #pieces: Buffer[] = [];
  #waitingBytes = 0;
  #wake = () => {};
  #refuseResponse: (reason: unknown) => void = () => {};
  #hasEnded = false;
  /** The status came, in trailers or in headers that stand for them: whatever happens now takes nothing away. */
  #hasStatus = false;
  #failure: { reason: unknown } | undefined;

  constructor(stream: ClientHttp2Stream, session: Http2SessionManager, signal: AbortSignal | undefined) {
    this.#stream = stream;
    const abort = () => {
      this.#fail(signal?.reason);
      if (!(this.#hasEnded && stream.writableEnded)) {
        cancel(stream);
      }
    };
    this.response = new Promise((resolve, reject) => {
      this.#refuseResponse = reject;
      stream.once("response", (headers) => {
        this.#hasStatus = "grpc-status" in headers;
        resolve(headers);
      });
    });
    this.response.catch(() => undefined); // where nobody waits for it any more
    signal?.addEventListener("abort", abort, { once: true });
    stream.on("data", (piece: Buffer) => {
      session.notifyResponseByteRead(stream);
      this.#take(piece);
    });
    stream.on("trailers", (headers: IncomingHttpHeaders) => {
      this.#hasStatus = true;
      for (const [key, value] of webHeaders(headers)) {
        this.trailer.append(key, value);
      }
    });
    stream.once("end", () => {
      // Node also ends the streams of a session that is gone; these are closed with an error.
      if (this.#hasStatus || (!stream.destroyed && stream.rstCode === constants.NGHTTP2_NO_ERROR)) {
        this.#end();
      }
    });
    stream.on("error", (reason) => this.#fail(isReset(reason) ? reset(stream.rstCode, reason) : reason));
    stream.once("close", () => {
      signal?.removeEventListener("abort", abort);
      if (this.#hasStatus) {
        this.#end();
      }
      this.#fail(closed(stream.rstCode));
    });
    if (signal?.aborted) {
      abort();
    }
  }

  /** Sends the body, no faster than the server takes it. */
  async send(body: AsyncIterable<Uint8Array> | undefined): Promise<void> {
    try {
      for await (const piece of body ?? []) {
        if (this.#isOver) {
          return;
        }
        if (!this.#stream.write(piece)) {
          await this.#drained();
        }
      }
      this.#stream.end();
    } catch (reason) {
      if (!this.#isOver) {
        this.#fail(reason);
        cancel(this.#stream);
      }
    }
  }

  get #isOver(): boolean {
    return this.#hasEnded || this.#failure !== undefined || this.#stream.destroyed;
  }

  #drained(): Promise<void> {
    const stream = this.#stream;
    return new Promise((resolve) => {
      const done = () => {
        stream.off("drain", done);
        stream.off("close", done);
        resolve();
      };
      stream.on("drain", done);
      stream.on("close", done);
    });
  }

  #take(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#waitingBytes += piece.length;
    if (this.#waitingBytes > QUEUE_BYTES) {
      this.#stream.pause();
    }
    this.#wake();
  }

  #end(): void {
    this.#hasEnded = true;
    this.#wake();
  }

  #fail(reason: unknown): void {
    this.#refuseResponse(reason); // also of a stream that ended without any headers; no change where there were some
    if (!this.#hasEnded) {
      this.#failure ??= { reason };
      this.#wake();
    }
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: () => this.#next(),
      throw: (reason) => {
        this.#fail(reason);
        cancel(this.#stream);
        return Promise.reject(reason);
      },
    };
  }

  async #next(): Promise<IteratorResult<Uint8Array>> {
    for (;;) {
      const value = this.#pieces.shift();
      if (value) {
        this.#waitingBytes -= value.length;
        if (this.#stream.isPaused() && this.#waitingBytes <= QUEUE_BYTES) {
          this.#stream.resume();
        }
        return { done: false, value };
      }
      if (this.#failure) {
        throw this.#failure.reason;
      }
      if (this.#hasEnded) {
        return { done: true, value: undefined };
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

/** The code that HTTP/2 and gRPC agreed on for a caller who goes away. */
function cancel(stream: ClientHttp2Stream): void {
  stream.on("error", () => undefined); // what becomes of it has nobody to hear it
  stream.close(constants.NGHTTP2_CANCEL);
}

/** Tells whether the server reset the stream, and the connection is well. */
function isReset(reason: unknown): boolean {
  return reason instanceof Error && "code" in reason && reason.code === "ERR_HTTP2_STREAM_ERROR";
}

/** The error of a stream that the server reset. Source: gRPC's PROTOCOL-HTTP2.md, errors. */
function reset(rstCode: number | undefined, reason: unknown): ConnectError {
  const code = rstCode === undefined ? undefined : RESET_CODES.get(rstCode);
  if (code === undefined) {
    return closed(rstCode);
  }
  return new ConnectError(`the server reset the stream with error code ${rstCode}`, code, undefined, undefined, reason);
}

/** What is no loss of the connection among the codes of a reset. */
const RESET_CODES: ReadonlyMap<number, Code> = new Map([
  [constants.NGHTTP2_CANCEL, Code.Canceled],
  [constants.NGHTTP2_ENHANCE_YOUR_CALM, Code.ResourceExhausted],
  [constants.NGHTTP2_INADEQUATE_SECURITY, Code.PermissionDenied],
]);

/** The error of a stream that was closed before its status came. */
function closed(rstCode: number | undefined): ConnectError {
  if (rstCode === undefined || rstCode === constants.NGHTTP2_NO_ERROR) {
    return new ConnectError(LOST_WITHOUT_STATUS, Code.Unavailable);
  }
  return new ConnectError(`${RESET} with error code ${rstCode}`, Code.Unavailable);
}

function webHeaders(headers: IncomingHttpHeaders): Headers {
  const made = new Headers();
  for (const [key, value] of Object.entries(headers)) {
    if (!key.startsWith(":")) {
      for (const each of Array.isArray(value) ? value : [value ?? ""]) {
        made.append(key, each);
      }
    }
  }
  return made;
}

/** For what can take long, and cannot be stopped. */
function unlessAborted<T>(pending: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal?.reason);
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) {
      abort();
    }
    pending.then(resolve, reject).finally(() => signal?.removeEventListener("abort", abort));
  });
}
