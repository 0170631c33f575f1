/**
 * The client of Trivium for Node: gRPC over HTTP/2.
 *
 * @module
 */

import { ClientGroups } from "./client-groups.js";
import { nodeConnection, type TlsOptions } from "./node-connection.js";
import { type ClientOptions, Settings } from "./settings.js";
import { DEFAULT_TARGET, parseTarget } from "./target.js";

export type { TlsOptions } from "./node-connection.js";
export { imageFromFile, recordingFromFile, saveAudio } from "./node-files.js";
export * from "./shared.js";

/** How to reach a server from Node. */
export interface TriviumClientOptions extends ClientOptions {
  /**
   * host:port, http://host:port, https://host[:port], dns:///host:port or unix:path. Absent: $TRIVIUM_TARGET, else
   * 127.0.0.1:50051. A name with several addresses has its calls spread round robin.
   */
  readonly target?: string | undefined;
  /** Absent: plain text to this machine, TLS to any other, unless the target is a URL, whose scheme decides. */
  readonly tls?: boolean | TlsOptions | undefined;
}

/** A client of a Trivium server, over one HTTP/2 connection that is made at the first call. */
export class TriviumClient extends ClientGroups {
  /** Throws TriviumError of kind invalid_call for options that cannot be used. */
  constructor(options: TriviumClientOptions = {}) {
    const settings = new Settings(options, `node/${process.versions.node}`);
    const target = parseTarget(options.target ?? (process.env.TRIVIUM_TARGET || DEFAULT_TARGET));
    super(settings, nodeConnection(target, options.tls, settings.maxMessageBytes));
  }
}
