// Where a server is: what people write as a target. Pure.

import { invalidCall } from "./errors.js";

/** A target that was read. Host without brackets; socketPath instead of both for a Unix socket. */
export interface Target {
  readonly text: string;
  readonly host: string;
  readonly port: number;
  readonly socketPath: string | undefined;
  /** What a URL says about TLS; undefined where the target was no URL. */
  readonly isEncrypted: boolean | undefined;
}

/** The target where none is given and $TRIVIUM_TARGET is not set. */
export const DEFAULT_TARGET = "127.0.0.1:50051";
const DEFAULT_PORT = 50051;

/**
 * Reads host:port, http://host:port, https://host[:port], dns:[///]host:port or unix:path. Throws invalid_call that says
 * what is missing.
 */
export function parseTarget(text: string): Target {
  if (text === "") {
    throw invalidCall(`target is empty; it is host:port, for example ${DEFAULT_TARGET}`);
  }
  const unix = /^unix:(\/\/(?=\/))?(.+)$/.exec(text);
  if (unix?.[2] !== undefined) {
    return { text, host: "localhost", port: 80, socketPath: unix[2], isEncrypted: undefined };
  }
  if (text.includes("@")) {
    // No error shows the password.
    throw invalidCall("target has a user name or password, which have no place in it; token is a setting of its own");
  }
  if (/^https?:\/\//.test(text)) {
    return parseUrl(text);
  }
  return {
    text,
    ...hostAndPort(text.replace(/^dns:(\/\/\/)?/, ""), text),
    socketPath: undefined,
    isEncrypted: undefined,
  };
}

function parseUrl(text: string): Target {
  const [scheme = "", rest = ""] = text.split("://", 2);
  const address = rest.replace(/\/$/, "");
  if (/[/?#]/.test(address)) {
    throw invalidCall("target has more than host and port; gRPC has no place for it");
  }
  const isEncrypted = scheme === "https";
  const hasPort = !/^(\[[^\]]*\]|[^:]+)$/.test(address);
  const place = hostAndPort(isEncrypted && !hasPort ? `${address}:443` : address, text);
  return { text, ...place, socketPath: undefined, isEncrypted };
}

function hostAndPort(address: string, text: string): { host: string; port: number } {
  const found = /^(\[([0-9A-Fa-f:.%]+)\]|[^\s:/[\]@]+):(\d+)$/.exec(address);
  if (!found) {
    throw invalidCall(`target "${text}" ${whatIsMissing(address)}`);
  }
  const port = Number(found[3]);
  if (port < 1 || port > 65_535) {
    throw invalidCall(`target "${text}" has port ${port}; a port is 1 to 65535`);
  }
  return { host: found[2] ?? found[1] ?? "", port };
}

function whatIsMissing(address: string): string {
  const usual = `a Trivium server listens on ${DEFAULT_PORT} unless configured otherwise`;
  const bare = address.replace(/:$/, "");
  if (/^(\[[^\]]*\]|[^\s:/[\]@]+)$/.test(bare)) {
    return `has no port; ${usual}: ${bare}:${DEFAULT_PORT}`;
  }
  if (/^[0-9A-Fa-f:.]+$/.test(address) && address.split(":").length > 2) {
    return `is an IPv6 address without brackets; write [address]:port; ${usual}`;
  }
  return `is not host:port, for example ${DEFAULT_TARGET}`;
}

/** Tells whether a target can only be this machine: a loopback address or a Unix socket. */
export function isLocal(target: Target): boolean {
  return (
    target.socketPath !== undefined ||
    target.host === "localhost" ||
    target.host === "::1" ||
    /^127(\.\d{1,3}){3}$/.test(target.host)
  );
}
