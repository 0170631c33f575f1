// The last frame of a gRPC-Web body: trailers, as text. Source: grpc-web's PROTOCOL-WEB.md.

import { keepStatus } from "./http.js";

const PREFIX_BYTES = 5;
const TRAILER_FLAG = 0x80;

/** Returns a body whose trailers keep their status, see keepStatus. Messages pass as they come. */
export async function* withKeptStatus(
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  let held: Uint8Array<ArrayBuffer> = new Uint8Array();
  let passingBytes = 0;
  for await (const piece of body) {
    let rest = new Uint8Array(piece);
    while (rest.length > 0) {
      if (passingBytes > 0) {
        const part = rest.subarray(0, passingBytes);
        yield part;
        passingBytes -= part.length;
        rest = rest.subarray(part.length);
        continue;
      }
      held = joined(held, rest);
      rest = new Uint8Array();
      const size = frameSize(held);
      if (size !== undefined && !isTrailer(held)) {
        [passingBytes, rest, held] = [size, held, rest];
      } else if (size !== undefined && size <= held.length) {
        yield keptFrame(held.subarray(0, size));
        [rest, held] = [held.subarray(size), rest];
      }
    }
  }
  if (held.length > 0) {
    yield held; // a frame that was cut off, which the reader complains about
  }
}

function frameSize(bytes: Uint8Array): number | undefined {
  if (bytes.length < PREFIX_BYTES) {
    return undefined;
  }
  return PREFIX_BYTES + new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
}

function isTrailer(frame: Uint8Array): boolean {
  return ((frame[0] ?? 0) & TRAILER_FLAG) !== 0;
}

function keptFrame(frame: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const headers = new Headers();
  for (const line of new TextDecoder().decode(frame.subarray(PREFIX_BYTES)).split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) {
      headers.append(line.slice(0, colon).trim(), line.slice(colon + 1).trim());
    }
  }
  keepStatus(headers);
  const lines = Array.from(headers, ([name, value]) => `${name}: ${value}\r\n`);
  const content = new TextEncoder().encode(lines.join(""));
  const prefix = new Uint8Array(PREFIX_BYTES);
  prefix[0] = frame[0] ?? 0;
  new DataView(prefix.buffer).setUint32(1, content.length);
  return joined(prefix, content);
}

function joined(first: Uint8Array<ArrayBuffer>, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
