// What both entry points export.

// To make messages with, and to name what makes one.
export { create, type MessageInitShape } from "@bufbuild/protobuf";
export type { AnalysisClient } from "./analysis.js";
export type { Call } from "./caller.js";
export { denseVector, type EmbeddingsClient, type VectorOptions } from "./embeddings.js";
export {
  type ErrorKind,
  type ErrorReason,
  type FieldViolation,
  type KnownErrorReason,
  type StatusCode,
  TriviumError,
} from "./errors.js";
// The messages, enums and services of the contract.
export * from "./gen/grpc/health/v1/health_pb.js";
export * from "./gen/trivium/admin/v1/admin_pb.js";
export * from "./gen/trivium/v1/analysis_pb.js";
export * from "./gen/trivium/v1/common_pb.js";
export * from "./gen/trivium/v1/embedding_pb.js";
export * from "./gen/trivium/v1/generation_pb.js";
export * from "./gen/trivium/v1/models_pb.js";
export * from "./gen/trivium/v1/speech_pb.js";
export * from "./gen/trivium/v1/vision_pb.js";
export { media } from "./media.js";
export type { Metadata } from "./metadata.js";
export type { Requests } from "./requests.js";
export { ResponseStream } from "./response-stream.js";
export type { RetryPolicy } from "./retry.js";
export type { RpcFunction, ServiceClient } from "./service.js";
export type { CallOptions, ClientOptions } from "./settings.js";
export type { SpeakingOptions, SpeechClient, TranscriptionOptions } from "./speech.js";
export { itemError } from "./status.js";
export {
  type ChatTurn,
  conversation,
  type GenerationOptions,
  GenerationStream,
  type GenerationStreamOptions,
  type Prompt,
  type TextClient,
  textOf,
} from "./text.js";
export { VERSION } from "./version.js";
export type { ImageOptions, VisionClient } from "./vision.js";
