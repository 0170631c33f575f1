// Does one case with the client's public interface.

import { setTimeout as sleep } from "node:timers/promises";
import { type DescMethod, type DescService, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import {
  AdminService,
  type CallOptions,
  EmbeddingService,
  GenerationStream,
  Health,
  type Metadata,
  ModelService,
  type ResponseStream,
  SpeechRecognitionService,
  SpeechSynthesisService,
  TextAnalysisService,
  TextGenerationService,
  type TlsOptions,
  TriviumClient,
  TriviumError,
  UsageSchema,
  VisionService,
} from "@trivium/client";
import type { Answer, Case, CaseMetadata, ErrorAnswer } from "./cases.js";

/** What a case has brought so far. */
interface Progress {
  requestId: string | undefined;
  readonly responses: string[];
  text: string | null;
}

/** Does a case. */
export async function runCase(task: Case): Promise<Answer> {
  const begun = performance.now();
  const progress: Progress = { requestId: undefined, responses: [], text: null };
  let error: ErrorAnswer | null = null;
  try {
    const client = new TriviumClient(clientOptions(task.client));
    try {
      await makeCall(client, task, progress);
    } finally {
      client.close();
    }
  } catch (reason) {
    error = errorAnswer(reason);
  }
  return {
    case: task.case,
    ok: error === null,
    responses: progress.responses,
    error,
    text: progress.text,
    request_id: progress.requestId ?? null,
    elapsed_s: (performance.now() - begun) / 1000,
  };
}

async function makeCall(client: TriviumClient, task: Case, progress: Progress): Promise<void> {
  const { act = {} } = task;
  const [group, method] = found(client, task.call.method);
  const requests = task.call.requests.map((packed) => fromBinary(method.input, Buffer.from(packed, "base64")));
  const controller = new AbortController();
  const options = callOptions(task.call, controller.signal);
  if (act.cancel_before) {
    controller.abort();
  }
  const timer =
    act.cancel_after_s === undefined ? undefined : setTimeout(() => controller.abort(), act.cancel_after_s * 1000);
  try {
    if (method.methodKind === "unary") {
      const call = group[method.localName]?.(requests[0], options) as Promise<Message> & { requestId: string };
      progress.requestId = call.requestId;
      progress.responses.push(packed(method, await call));
      return;
    }
    let goAwayCame = () => {};
    const goAway = new Promise<void>((resolve) => {
      goAwayCame = resolve;
    });
    const isLive = method.methodKind === "bidi_streaming";
    const given = isLive ? sent(requests, act.half_close ? goAway : undefined) : requests[0];
    const stream = group[method.localName]?.(given, options) as ResponseStream<Message>;
    progress.requestId = stream.requestId;
    await readStream(stream, method, act, progress, controller, goAwayCame);
  } finally {
    clearTimeout(timer);
  }
}

async function readStream(
  stream: ResponseStream<Message>,
  method: DescMethod,
  act: NonNullable<Case["act"]>,
  progress: Progress,
  controller: AbortController,
  goAwayCame: () => void,
): Promise<void> {
  const isGeneration = stream instanceof GenerationStream;
  if (isGeneration) {
    progress.text = stream.text;
  }
  if (act.read_pause_s) {
    await sleep(act.read_pause_s * 1000);
  }
  for await (const message of stream) {
    progress.responses.push(packed(method, message));
    if (isGeneration) {
      progress.text = stream.text;
    }
    if ("event" in message && (message.event as { case?: string }).case === "goAway") {
      goAwayCame();
    }
    if (progress.responses.length === act.stop_after_messages) {
      break;
    }
    if (progress.responses.length === act.cancel_after_messages) {
      controller.abort();
    }
    if (act.read_pause_s) {
      await sleep(act.read_pause_s * 1000);
    }
  }
}

/** Sends the requests; half-closes when the promise, if there is one, is resolved. */
async function* sent(requests: readonly Message[], end: Promise<void> | undefined): AsyncGenerator<Message> {
  yield* requests;
  await end;
}

type Group = Readonly<Record<string, (request: unknown, options: CallOptions) => unknown>>;

function found(client: TriviumClient, name: string): [Group, DescMethod] {
  const groups: readonly (readonly [DescService, object])[] = [
    [TextGenerationService, client.text],
    [EmbeddingService, client.embeddings],
    [TextAnalysisService, client.analysis],
    [VisionService, client.vision],
    [SpeechRecognitionService, client.speech],
    [SpeechSynthesisService, client.speech],
    [ModelService, client.models],
    [AdminService, client.admin],
    [Health, client.health],
  ];
  const [service, methodName] = name.split("/");
  for (const [desc, group] of groups) {
    const method = desc.methods.find((each) => each.name === methodName);
    if (desc.typeName === service && method) {
      return [group as Group, method]; // the methods of a group differ in type; the case says which one it is
    }
  }
  throw new Error(`no such method: ${name}`);
}

function packed(method: DescMethod, message: Message): string {
  return Buffer.from(toBinary(method.output, message)).toString("base64");
}

function clientOptions(given: Case["client"]) {
  return {
    target: given.target,
    token: given.token,
    timeoutMs: milliseconds(given.timeout_s),
    idleTimeoutMs: milliseconds(given.idle_timeout_s),
    retry: given.max_attempts === undefined ? undefined : { maxAttempts: given.max_attempts },
    metadata: given.metadata && unpacked(given.metadata),
    tls: typeof given.tls === "object" ? tlsOptions(given.tls) : given.tls,
  };
}

function tlsOptions(given: Exclude<Case["client"]["tls"], boolean | undefined>): TlsOptions {
  return {
    rootCertificates: given.root_certificates,
    certificate: given.certificate,
    privateKey: given.private_key,
    serverName: given.server_name,
  };
}

function callOptions(given: Case["call"], signal: AbortSignal): CallOptions {
  return {
    signal,
    timeoutMs: milliseconds(given.timeout_s),
    idleTimeoutMs: milliseconds(given.idle_timeout_s),
    requestId: given.request_id,
    metadata: given.metadata && unpacked(given.metadata),
  };
}

function unpacked(metadata: CaseMetadata): Metadata {
  const entries = Object.entries(metadata);
  return Object.fromEntries(
    entries.map(([key, value]) => [key, key.endsWith("-bin") ? new Uint8Array(Buffer.from(value, "base64")) : value]),
  );
}

function milliseconds(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000;
}

function errorAnswer(reason: unknown): ErrorAnswer {
  if (!(reason instanceof TriviumError)) {
    throw reason; // a defect, not an answer
  }
  return {
    kind: reason.kind ?? null,
    code: reason.code,
    reason: reason.reason ?? null,
    message: reason.message,
    metadata: reason.metadata,
    field_violations: reason.fieldViolations.map(({ field, description }) => ({ field, description })),
    retry_after_s: reason.retryAfterMs === undefined ? null : reason.retryAfterMs / 1000,
    request_id: reason.requestId ?? null,
    usage: reason.usage ? Buffer.from(toBinary(UsageSchema, reason.usage)).toString("base64") : null,
  };
}
