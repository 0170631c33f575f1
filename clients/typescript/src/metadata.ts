// What callers may send beside a request, and the headers that are made of it.

import { encodeBinaryHeader } from "@connectrpc/connect";
import { invalidCall } from "./errors.js";

/** Metadata of calls, by key of any case: printable ASCII; bytes where the key ends in `-bin`. */
export type Metadata = Readonly<Record<string, string | Uint8Array>>;

const OWN_KEYS: ReadonlyMap<string, string> = new Map([
  ["x-request-id", "give requestId instead"],
  ["authorization", "give token to the client instead"],
  ["trivium-client", "it names the client itself"],
  ["user-agent", "the transport sets it"],
  ["content-type", "the transport sets it"],
  ["te", "the transport sets it"],
]);

/** Returns the metadata with its keys in lower case. Throws invalid_call for what cannot be sent or is not the caller's. */
export function checkedMetadata(given: Metadata): Metadata {
  const checked: Record<string, string | Uint8Array> = {};
  for (const [key, value] of Object.entries(given)) {
    const name = key.toLowerCase();
    if (name in checked) {
      throw invalidCall(`metadata has ${JSON.stringify(key)} twice, in different case`);
    }
    checkKey(key, name);
    checkValue(key, value, name.endsWith("-bin"));
    checked[name] = value;
  }
  return checked;
}

function checkKey(key: string, name: string): void {
  const instead = OWN_KEYS.get(name);
  if (instead !== undefined) {
    throw invalidCall(`metadata has ${JSON.stringify(key)}, which the client sets itself: ${instead}`);
  }
  if (name.startsWith("grpc-")) {
    throw invalidCall(`metadata has ${JSON.stringify(key)}; keys that begin with grpc- are gRPC's own`);
  }
  if (!/^[a-z0-9_.-]+$/.test(name)) {
    throw invalidCall(`metadata has ${JSON.stringify(key)}; a key is letters of ASCII, digits, "-", "_" and "."`);
  }
}

function checkValue(key: string, value: unknown, isBinary: boolean): void {
  if (isBinary !== value instanceof Uint8Array || (!isBinary && typeof value !== "string")) {
    const rule = "a key that ends in -bin has bytes (Uint8Array), every other one text";
    throw invalidCall(`the metadata value of ${JSON.stringify(key)} is of the wrong type: ${rule}`);
  }
  if (typeof value === "string" && !/^[\x20-\x7e]*$/.test(value)) {
    throw invalidCall(
      `the metadata value of ${JSON.stringify(key)} is not printable ASCII; bytes go under a key that ends in -bin`,
    );
  }
}

/** Checks a token. Throws invalid_call, without the token in it, where a header cannot carry it. */
export function checkToken(token: string | undefined): void {
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
    throw invalidCall("token is empty or has a character that is not printable ASCII, such as a line break");
  }
}

/** Returns the headers of a call. Later metadata wins over earlier; what the client says itself wins over all. */
export function requestHeaders(own: Record<string, string>, ...metadata: readonly Metadata[]): Headers {
  const headers = new Headers();
  for (const [key, value] of metadata.flatMap((each) => Object.entries(each))) {
    headers.set(key, typeof value === "string" ? value : encodeBinaryHeader(value));
  }
  for (const [key, value] of Object.entries(own)) {
    headers.set(key, value);
  }
  return headers;
}
