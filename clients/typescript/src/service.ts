// Methods of a service of the contract as functions. A new RPC appears by itself.

import type {
  DescMessage,
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { Call, Caller } from "./caller.js";
import type { Requests } from "./requests.js";
import { ResponseStream } from "./response-stream.js";
import type { CallOptions } from "./settings.js";

/** A method of the contract as a function. */
export type RpcFunction<M extends DescMethod> =
  M extends DescMethodUnary<infer I, infer O>
    ? (request: MessageInitShape<I>, options?: CallOptions) => Call<MessageShape<O>>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageInitShape<I>, options?: CallOptions) => ResponseStream<MessageShape<O>>
      : M extends DescMethodBiDiStreaming<infer I, infer O>
        ? (requests: Requests<MessageInitShape<I>>, options?: CallOptions) => ResponseStream<MessageShape<O>>
        : never;

/**
 * All methods of a service, named as in the contract with a small first letter. A request is a message or an object of
 * its fields.
 *
 * - A method with one response returns a promise, which knows its `requestId`.
 * - A method with a stream of responses returns a ResponseStream, to be read with `for await`.
 * - A method with a stream of requests takes any iterable of them, live or not. Where the call ends early, the iterable's
 *   `return` is called; what the iterable throws, the response stream throws.
 *
 * They fail with TriviumError.
 */
export type ServiceClient<S extends DescService> = { readonly [P in keyof S["method"]]: RpcFunction<S["method"][P]> };

/** Returns the methods of a service. */
export function serviceClient<S extends DescService>(service: S, caller: Caller): ServiceClient<S> {
  const methods: Record<string, unknown> = {};
  for (const method of service.methods) {
    methods[method.localName] = rpcFunction(method, caller);
  }
  return methods as ServiceClient<S>; // the loop makes what the type says, which the compiler cannot follow
}

type Init = MessageInitShape<DescMessage>;

function rpcFunction(method: DescMethod, caller: Caller): unknown {
  switch (method.methodKind) {
    case "unary": {
      const unary = method as DescMethodUnary; // DescMethod is no union that its kind could narrow; here and below
      return (request: Init, options?: CallOptions) => caller.unary(unary, request, options);
    }
    case "server_streaming": {
      const stream = method as DescMethodServerStreaming;
      return (request: Init, options?: CallOptions) =>
        new ResponseStream(caller.serverStream(stream, request, options));
    }
    default: {
      const both = method as DescMethodBiDiStreaming;
      return (requests: Requests<Init>, options?: CallOptions) =>
        new ResponseStream(caller.bothStreams(both, requests, options));
    }
  }
}
