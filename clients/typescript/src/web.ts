/**
 * The client of Trivium for browsers: gRPC-Web over fetch, through a proxy such as Envoy. Methods with a stream of
 * requests fail here with kind `invalid_call`.
 *
 * @module
 */

import { ClientGroups } from "./client-groups.js";
import { invalidCall } from "./errors.js";
import { type ClientOptions, Settings } from "./settings.js";
import { webConnection } from "./web-connection.js";

export * from "./shared.js";

/** How to reach a server from a page. */
export interface TriviumClientOptions extends ClientOptions {
  /** The proxy that speaks gRPC-Web, for example `https://api.example.com`. Absent: where the page came from. */
  readonly target?: string | undefined;
  /** Stands for the browser's own fetch, for example to send cookies along. */
  readonly fetch?: typeof fetch | undefined;
}

/** A client of a Trivium server behind a proxy that speaks gRPC-Web. */
export class TriviumClient extends ClientGroups {
  /** Throws TriviumError of kind invalid_call for options that cannot be used. */
  constructor(options: TriviumClientOptions = {}) {
    const settings = new Settings(options, "es/2022");
    const target = (options.target ?? globalThis.location?.origin ?? "").replace(/\/$/, "");
    if (!/^https?:\/\/[^\s?#]+$/.test(target)) {
      throw invalidCall(`target is "${target}"; it is a URL, for example https://api.example.com`);
    }
    const fetchFunction = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    super(settings, webConnection(target, fetchFunction, settings.maxMessageBytes));
  }
}
