// What holds for the streams of the contract: how each ends, and which messages count themselves.

import type { DescMessage, DescMethod, Message } from "@bufbuild/protobuf";
import { truncatedStream } from "./errors.js";
import { HealthCheckResponseSchema } from "./gen/grpc/health/v1/health_pb.js";
import { type LoadModelResponse, LoadModelResponseSchema } from "./gen/trivium/admin/v1/admin_pb.js";
import { ModelState, WatchModelsResponseSchema } from "./gen/trivium/v1/models_pb.js";

/** Looks at the messages of one stream, in their order. */
export interface StreamWatch {
  /** Whether the terminal event was seen. */
  readonly isComplete: boolean;
  /** Takes the next message. Throws truncated_stream where one before it is missing. */
  accept(message: Message): void;
  /** The server ended the stream with OK. Throws truncated_stream where that was too early. */
  end(): void;
}

/** Returns what looks at a stream of this method. A method that this contract does not know is not looked at. */
export function watchOf(method: DescMethod, requestId: string): StreamWatch {
  const { output } = method;
  if (output.typeName === LoadModelResponseSchema.typeName) {
    return new Watch(requestId, false, (message) => (message as LoadModelResponse).model?.state === ModelState.READY);
  }
  if (output.typeName === WatchModelsResponseSchema.typeName) {
    return new Watch(requestId, false, () => false);
  }
  if (hasEvents(output)) {
    return new Watch(requestId, true, (message) => (message as EventMessage).event.case === "completed");
  }
  return new Watch(requestId, false, undefined);
}

/** Tells whether a stream of this method may bring nothing for long without anything being wrong. */
export function isQuiet(method: DescMethod): boolean {
  return QUIET.has(method.output.typeName);
}

const QUIET: ReadonlySet<string> = new Set(
  [HealthCheckResponseSchema, LoadModelResponseSchema, WatchModelsResponseSchema].map(({ typeName }) => typeName),
);

/** What all events of streams with `completed` have in common. */
interface EventMessage extends Message {
  sequence: bigint;
  event: { case: string | undefined };
}

function hasEvents(output: DescMessage): boolean {
  const event = output.oneofs.find((oneof) => oneof.name === "event");
  return output.field.sequence !== undefined && (event?.fields.some((field) => field.name === "completed") ?? false);
}

class Watch implements StreamWatch {
  isComplete = false;
  #next = 0n;

  constructor(
    readonly requestId: string,
    readonly isCounted: boolean,
    /** Tells the terminal event; undefined where the stream may end as it likes. */
    readonly isTerminal: ((message: Message) => boolean) | undefined,
  ) {}

  accept(message: Message): void {
    if (this.isCounted) {
      const { sequence } = message as EventMessage;
      if (sequence !== this.#next) {
        throw truncatedStream(`event ${this.#next} of the stream is missing; ${sequence} came`, this.requestId);
      }
      this.#next += 1n;
    }
    this.isComplete = this.isComplete || (this.isTerminal?.(message) ?? false);
  }

  end(): void {
    if (this.isTerminal !== undefined && !this.isComplete) {
      throw truncatedStream("the stream ended without its terminal event; it is not the whole answer", this.requestId);
    }
  }
}
