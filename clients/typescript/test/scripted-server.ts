// A gRPC server for the tests that does what a test says, down to the frames of HTTP/2.

import {
  constants,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";

/** A call that has arrived. */
export class ScriptedCall {
  constructor(
    readonly stream: ServerHttp2Stream,
    readonly headers: IncomingHttpHeaders,
    /** Breaks the connection, and all others. */
    readonly breakConnection: () => void,
  ) {}

  /** Sends the response's headers. */
  begin(): void {
    if (!this.stream.headersSent) {
      this.stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    }
  }

  /** Sends a message. */
  send<Desc extends DescMessage>(schema: Desc, message: MessageInitShape<Desc>): void {
    this.begin();
    this.stream.write(framed(toBinary(schema, create(schema, message))));
  }

  /** Ends the call with a status. */
  end(code = 0, message = "", trailers: Record<string, string> = {}): void {
    this.begin();
    this.stream.once("wantTrailers", () => {
      this.stream.sendTrailers({ "grpc-status": String(code), "grpc-message": message, ...trailers });
    });
    this.stream.end();
  }

  /** Waits until the client has ended the call, and returns the code with which it did. */
  closed(): Promise<number> {
    return new Promise((resolve) => {
      const done = () => resolve(this.stream.rstCode ?? constants.NGHTTP2_NO_ERROR);
      if (this.stream.closed) {
        done();
      } else {
        this.stream.once("close", done);
      }
    });
  }
}

/** Does something about each call; what it returns is awaited by nobody. */
export type Script = (call: ScriptedCall, number: number) => unknown;

/** A server on a free port of the loopback. close() ends it. */
export class ScriptedServer {
  readonly calls: ScriptedCall[] = [];
  readonly #sockets = new Set<Socket>();

  private constructor(
    readonly server: Http2Server,
    script: Script,
  ) {
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    server.on("stream", (stream, headers) => {
      const call = new ScriptedCall(stream, headers, () => this.#breakConnections());
      stream.on("error", () => undefined);
      stream.resume();
      this.calls.push(call);
      script(call, this.calls.length - 1);
    });
  }

  static async start(
    script: Script,
    where: { path?: string; host?: string; port?: number } = {},
  ): Promise<ScriptedServer> {
    const scripted = new ScriptedServer(createServer(), script);
    const listening = where.path ? { path: where.path } : { host: where.host ?? "127.0.0.1", port: where.port ?? 0 };
    await new Promise<void>((resolve) => scripted.server.listen(listening, resolve));
    return scripted;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port; // it listens on no socket file where this is asked
  }

  get target(): string {
    return `127.0.0.1:${this.port}`;
  }

  get numConnections(): number {
    return this.#sockets.size;
  }

  #breakConnections(): void {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  async close(): Promise<void> {
    this.#breakConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/** A message with its prefix of five bytes. */
export function framed(message: Uint8Array, flags = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(flags);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}
