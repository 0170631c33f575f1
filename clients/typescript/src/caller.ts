// The one place that sends calls: with their metadata, deadlines, retries and errors, whatever the method.

import {
  create,
  type DescMessage,
  type DescMethodStreaming,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { CallScope, OpenCalls } from "./call-scope.js";
import { invalidCall } from "./errors.js";
import { replayOf } from "./replay.js";
import { onlyRequest, RequestSource, type Requests } from "./requests.js";
import type { StreamSource } from "./response-stream.js";
import { Attempts, Deadline } from "./retry.js";
import { type CallOptions, prepared, type Settings } from "./settings.js";
import { type Peer, readFailure } from "./status.js";
import { isQuiet, watchOf } from "./stream-rules.js";

/** How calls reach the server. */
export interface Connection {
  readonly peer: Peer;
  /** For calls with one request; sends nothing of one that is too large. */
  readonly single: Transport;
  /** For calls with a stream of requests; undefined where there can be none. */
  readonly live: Transport | undefined;
  /** Closes what is open. */
  close(): void;
}

/** The answer of a call that is under way, and the request id that the call is sent with. */
export type Call<T> = Promise<T> & { readonly requestId: string };

/** Sends the calls of one client. */
export class Caller {
  readonly settings: Settings;
  readonly #connection: Connection;
  readonly #open = new OpenCalls();

  constructor(settings: Settings, connection: Connection) {
    this.settings = settings;
    this.#connection = connection;
  }

  /** Ends all calls with kind `cancelled`, and closes the connection. */
  close(): void {
    this.#open.close();
    this.#connection.close();
  }

  /** Sends a call with one response, again where the policy says so. */
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    options: CallOptions = {},
  ): Call<MessageShape<O>> {
    const requestId = options.requestId ?? "";
    try {
      const call = prepared(this.settings, options, false);
      return Object.assign(this.#unary(method, request, call), { requestId: call.requestId });
    } catch (reason) {
      return Object.assign(Promise.reject(reason), { requestId });
    }
  }

  async #unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    call: ReturnType<typeof prepared>,
  ): Promise<MessageShape<O>> {
    const { headers, options, requestId } = call;
    const { peer, single } = this.#connection;
    const message = created(method.input, request);
    const attempts = new Attempts(this.settings.retry, new Deadline(call.timeoutMs));
    const scope = new CallScope(requestId, options.signal, this.#open);
    scope.begin();
    try {
      for (;;) {
        if (scope.verdict) {
          throw scope.verdict;
        }
        const outcome = await settled(single.unary(method, scope.signal, limited(attempts.begin()), headers, message));
        if ("value" in outcome) {
          options.onHeader?.(outcome.value.header);
          options.onTrailer?.(outcome.value.trailer);
          return outcome.value.message;
        }
        const failure = readFailure(outcome.reason, call, peer, false);
        const delayMs = attempts.delayBeforeRetry(failure);
        if (delayMs === undefined || scope.verdict) {
          throw scope.verdict ?? failure.error;
        }
        await scope.pause(delayMs);
      }
    } finally {
      scope.release();
    }
  }

  /** Prepares a call with one request and a stream of responses. */
  serverStream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    request: MessageInitShape<I>,
    options: CallOptions = {},
  ): StreamSource<MessageShape<O>> {
    const message = created(method.input, request);
    const source = this.#stream(method, options, this.#connection.single, () => onlyRequest(message), undefined);
    return { ...source, replay: replayOf(message) };
  }

  /** Prepares a call with streams both ways. */
  bothStreams<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    requests: Requests<MessageInitShape<I>>,
    options: CallOptions = {},
  ): StreamSource<MessageShape<O>> {
    if (!this.#connection.live) {
      throw invalidCall(`${method.name} takes a stream of requests, which browsers cannot send`);
    }
    const source = new RequestSource(requests);
    return this.#stream(method, options, this.#connection.live, () => source, source);
  }

  #stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    options: CallOptions,
    transport: Transport,
    requests: () => AsyncIterable<MessageInitShape<I>>,
    live: RequestSource<MessageInitShape<I>> | undefined,
  ): StreamSource<MessageShape<O>> {
    const idleTimeoutMs = options.idleTimeoutMs ?? (isQuiet(method) ? Infinity : undefined);
    const call = prepared(this.settings, { ...options, idleTimeoutMs }, true);
    const scope = new CallScope(call.requestId, options.signal, this.#open);
    return {
      call,
      scope,
      attempts: new Attempts(this.settings.retry, new Deadline(call.timeoutMs)),
      watch: watchOf(method, call.requestId),
      peer: this.#connection.peer,
      live,
      replay: undefined,
      open: (timeoutMs) => transport.stream(method, scope.signal, limited(timeoutMs), call.headers, requests()),
    };
  }
}

/** Returns the message. Throws invalid_call for what is none. */
function created<Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>): MessageShape<Desc> {
  try {
    return create(schema, init);
  } catch (reason) {
    throw invalidCall(`no ${schema.typeName}: ${String(reason)}`, reason);
  }
}

async function settled<T>(pending: Promise<T>): Promise<{ value: T } | { reason: unknown }> {
  try {
    return { value: await pending };
  } catch (reason) {
    return { reason };
  }
}

/** Whole milliseconds, as the wire wants them, and at least one: 0 would be without limit. */
function limited(timeoutMs: number | undefined): number | undefined {
  return timeoutMs === undefined ? undefined : Math.max(1, Math.ceil(timeoutMs));
}
