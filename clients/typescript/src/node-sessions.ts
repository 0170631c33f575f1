// HTTP/2 connections of the client for Node: one to an address, round robin where a name has several.

import { lookup } from "node:dns/promises";
import type { ClientSessionOptions, Http2Session, SecureClientSessionOptions } from "node:http2";
import { connect, isIP, type LookupFunction } from "node:net";
import { Http2SessionManager, type Http2SessionOptions } from "@connectrpc/connect-node";
import { isLocal, type Target } from "./target.js";

/** How a connection is kept alive: below 60 s a server takes pings for abuse, and one without calls needs none. */
const PINGS: Http2SessionOptions = { pingIntervalMs: 60_000, pingTimeoutMs: 20_000, pingIdleConnection: false };

/** How long the addresses of a name hold. */
const ADDRESSES_HOLD_MS = 30_000;

type SessionOptions = ClientSessionOptions | SecureClientSessionOptions;

/** Returns the addresses of a name, at least one. */
export type AddressLookup = (host: string) => Promise<readonly string[]>;

const systemLookup: AddressLookup = async (host) => {
  const found = await lookup(host, { all: true });
  return found.map(({ address }) => address);
};

/** Gives each call the connection that it is to use. */
export abstract class Sessions {
  readonly #open = new Set<Http2Session>();

  /** Returns the one for the next call. */
  abstract next(): Promise<Http2SessionManager>;

  protected abstract all(): Iterable<Http2SessionManager>;

  /** Remembers a connection that was made, until it is closed. */
  made(session: Http2Session): void {
    if (!this.#open.has(session)) {
      this.#open.add(session);
      session.once("close", () => this.#open.delete(session));
    }
  }

  /** Closes all connections, once their calls are over. */
  close(): void {
    for (const session of this.all()) {
      if (session.state() === "connecting" || session.state() === "verifying") {
        session.abort();
      }
    }
    for (const session of this.#open) {
      session.close(); // abort() of the manager would tell the server of an error
      session.unref(); // a server that answers nothing more keeps no program alive
    }
  }
}

/** Returns the connections to a target. Nothing is connected before the first call. */
export function sessionsTo(
  target: Target,
  authority: string,
  options: SessionOptions,
  addressesOf: AddressLookup = systemLookup,
): Sessions {
  if (target.socketPath !== undefined) {
    const path = target.socketPath;
    return new OneSession(
      new Http2SessionManager(authority, PINGS, { ...options, createConnection: () => connect(path) }),
    );
  }
  if (isLocal(target) || isIP(target.host) !== 0) {
    return new OneSession(new Http2SessionManager(authority, PINGS, options));
  }
  return new RoundRobin(() => addressesOf(target.host), authority, options);
}

class OneSession extends Sessions {
  constructor(readonly session: Http2SessionManager) {
    super();
  }

  override async next(): Promise<Http2SessionManager> {
    return this.session;
  }

  protected override *all(): Iterable<Http2SessionManager> {
    yield this.session;
  }
}

class RoundRobin extends Sessions {
  readonly #sessions = new Map<string, Http2SessionManager>();
  #addresses: readonly string[] = [];
  #lookedUpAt = Number.NEGATIVE_INFINITY;
  #turn = 0;

  constructor(
    readonly addresses: () => Promise<readonly string[]>,
    readonly authority: string,
    readonly options: SessionOptions,
  ) {
    super();
  }

  override async next(): Promise<Http2SessionManager> {
    const session = this.#of(await this.#address());
    if (session.state() === "error") {
      this.#lookedUpAt = Number.NEGATIVE_INFINITY; // the machine may be gone for good
    }
    return session;
  }

  async #address(): Promise<string> {
    if (performance.now() - this.#lookedUpAt > ADDRESSES_HOLD_MS) {
      this.#addresses = await this.addresses();
      this.#lookedUpAt = performance.now();
    }
    this.#turn = (this.#turn + 1) % this.#addresses.length;
    return this.#addresses[this.#turn] ?? "";
  }

  #of(address: string): Http2SessionManager {
    let session = this.#sessions.get(address);
    if (!session) {
      session = new Http2SessionManager(this.authority, PINGS, { ...this.options, ...pinned(address) });
      this.#sessions.set(address, session);
    }
    return session;
  }

  protected override all(): Iterable<Http2SessionManager> {
    return this.#sessions.values();
  }
}

/** Connects to this address whatever the name is, which stays what certificates are checked against. */
function pinned(address: string): { lookup: LookupFunction } {
  const family = isIP(address);
  return {
    lookup: (_host, { all }, found) => (all ? found(null, [{ address, family }]) : found(null, address, family)),
  };
}
