// gRPC-Web over fetch, as browsers and proxies such as Envoy speak it.

import type { UniversalClientFn } from "@connectrpc/connect/protocol";
import { createTransport } from "@connectrpc/connect/protocol-grpc-web";
import type { Connection } from "./caller.js";
import { readable, sendingOne } from "./http.js";
import { withKeptStatus } from "./web-trailers.js";

/** Returns how calls reach a proxy at a URL. */
export function webConnection(baseUrl: string, fetchFunction: typeof fetch, maxMessageBytes: number): Connection {
  return {
    peer: { target: baseUrl, isEncrypted: baseUrl.startsWith("https:") },
    single: createTransport({
      baseUrl,
      httpClient: sendingOne(readable(fetchClient(fetchFunction))),
      useBinaryFormat: true,
      interceptors: [],
      acceptCompression: [],
      sendCompression: null,
      compressMinBytes: 0,
      readMaxBytes: maxMessageBytes,
      writeMaxBytes: maxMessageBytes,
    }),
    live: undefined,
    close: () => undefined,
  };
}

/** Sends the whole body at once: browsers cannot stream one. */
function fetchClient(fetchFunction: typeof fetch): UniversalClientFn {
  return async ({ url, method, header, body, signal }) => {
    const response = await fetchFunction(url, {
      method,
      headers: header,
      body: body ? await whole(body) : null,
      cache: "no-store",
      redirect: "error",
      ...(signal ? { signal } : {}),
    });
    return {
      status: response.status,
      header: new Headers(response.headers),
      body: response.body ? withKeptStatus(pieces(response.body)) : none(),
      trailer: new Headers(),
    };
  };
}

async function whole(body: AsyncIterable<Uint8Array>): Promise<Blob> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for await (const part of body) {
    parts.push(new Uint8Array(part));
  }
  return new Blob(parts);
}

async function* pieces(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = body.getReader();
  for (let result = await reader.read(); !result.done; result = await reader.read()) {
    yield result.value;
  }
}

async function* none(): AsyncGenerator<Uint8Array, void, undefined> {}
