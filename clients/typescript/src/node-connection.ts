// gRPC over HTTP/2, as Node speaks it.

import type { SecureClientSessionOptions } from "node:http2";
import { createTransport } from "@connectrpc/connect/protocol-grpc";
import type { Connection } from "./caller.js";
import { invalidCall } from "./errors.js";
import { readable, sendingMany, sendingOne } from "./http.js";
import { http2Client } from "./node-http.js";
import { sessionsTo } from "./node-sessions.js";
import { isLocal, type Target } from "./target.js";

/** Certificates of an encrypted connection, as PEM. What is absent takes the roots of Node, or no client certificate. */
export interface TlsOptions {
  /** The authorities that sign the server's certificate. */
  readonly rootCertificates?: string | Uint8Array | undefined;
  /** Identifies this client, together with privateKey. */
  readonly certificate?: string | Uint8Array | undefined;
  readonly privateKey?: string | Uint8Array | undefined;
  /** Checked against the server's certificate instead of the target's host. */
  readonly serverName?: string | undefined;
}

/** Returns how calls reach a target. Throws invalid_call where target and tls contradict each other. */
export function nodeConnection(
  target: Target,
  tls: boolean | TlsOptions | undefined,
  maxMessageBytes: number,
): Connection {
  const isEncrypted = encryption(target, tls);
  const host = target.host.includes(":") ? `[${target.host}]` : target.host;
  const baseUrl = new URL(`${isEncrypted ? "https" : "http"}://${host}:${target.port}`).origin;
  const sessions = sessionsTo(target, baseUrl, {
    // Node's own limit of 10 MB refuses streams while a few large messages are under way.
    maxSessionMemory: 4096,
    ...(isEncrypted ? secureOptions(typeof tls === "object" ? tls : {}) : {}),
  });
  const client = http2Client(sessions);
  const common = {
    baseUrl,
    useBinaryFormat: true,
    interceptors: [],
    acceptCompression: [],
    sendCompression: null,
    compressMinBytes: 0,
    readMaxBytes: maxMessageBytes,
    writeMaxBytes: maxMessageBytes,
  };
  return {
    peer: { target: target.text, isEncrypted },
    single: createTransport({ ...common, httpClient: sendingOne(readable(client)) }),
    live: createTransport({ ...common, httpClient: sendingMany(readable(client)) }),
    close: () => sessions.close(),
  };
}

function encryption(target: Target, tls: boolean | TlsOptions | undefined): boolean {
  if (target.isEncrypted === undefined) {
    return tls === undefined ? !isLocal(target) : tls !== false;
  }
  if (tls !== undefined && target.isEncrypted === (tls === false)) {
    throw invalidCall("the target's URL and tls contradict each other; give host:port as target, and tls");
  }
  return target.isEncrypted;
}

function secureOptions(tls: TlsOptions): SecureClientSessionOptions {
  if ((tls.certificate === undefined) !== (tls.privateKey === undefined)) {
    throw invalidCall("tls.certificate and tls.privateKey are given together or not at all");
  }
  return {
    ...(tls.rootCertificates === undefined ? {} : { ca: pem(tls.rootCertificates) }),
    ...(tls.certificate === undefined ? {} : { cert: pem(tls.certificate) }),
    ...(tls.privateKey === undefined ? {} : { key: pem(tls.privateKey) }),
    ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
  };
}

function pem(given: string | Uint8Array): string {
  return typeof given === "string" ? given : new TextDecoder().decode(given);
}
