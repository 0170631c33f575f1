import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Call, Caller } from "./caller.js";
import {
  ChatRole,
  type Conversation,
  type ConversationSchema,
  type GenerateResponse,
  type GenerationCompleted,
  type GenerationInputSchema,
  type GenerationOutputOptionsSchema,
  type SamplingParametersSchema,
  type StreamGenerateRequestSchema,
  type StreamGenerateResponse,
  type StreamOptionsSchema,
  TextGenerationService,
} from "./gen/trivium/v1/generation_pb.js";
import { ResponseStream } from "./response-stream.js";
import { type ServiceClient, serviceClient } from "./service.js";
import type { CallOptions } from "./settings.js";

/** One message of a conversation. */
export interface ChatTurn {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** What to answer: one message of the user, or a conversation so far, oldest message first. */
export type Prompt = string | readonly ChatTurn[];

/** How to answer a prompt. */
export interface GenerationOptions extends CallOptions {
  /** The name of the model. */
  readonly model: string;
  /** Instructions that precede the conversation. */
  readonly systemInstruction?: string | undefined;
  /** How tokens are chosen and when to stop, for example `{ maxOutputTokens: 100, seed: 7n }`. */
  readonly sampling?: MessageInitShape<typeof SamplingParametersSchema> | undefined;
  /** What the answer contains besides text. */
  readonly output?: MessageInitShape<typeof GenerationOutputOptionsSchema> | undefined;
}

/** How to answer a prompt on a stream. */
export interface GenerationStreamOptions extends GenerationOptions {
  /** How the answer is sent. */
  readonly stream?: MessageInitShape<typeof StreamOptionsSchema> | undefined;
}

/** The events of an answer while it is made, and what they have said so far. */
export class GenerationStream extends ResponseStream<StreamGenerateResponse> {
  readonly #texts = new Map<number, string>();
  #completed: GenerationCompleted | undefined;

  /** The text of the first candidate so far. */
  get text(): string {
    return this.candidateText(0);
  }

  /** What the server said at the end: request id, usage and timing in its `info`; undefined before. */
  get completed(): GenerationCompleted | undefined {
    return this.#completed;
  }

  /** Returns the text of a candidate so far. */
  candidateText(index: number): string {
    return this.#texts.get(index) ?? "";
  }

  /** Iterates the text of the first candidate, piece by piece. Stands for iterating the stream itself. */
  async *pieces(): AsyncGenerator<string, void, undefined> {
    for await (const { event } of this) {
      if (event.case === "delta" && event.value.candidateIndex === 0 && event.value.delta.value) {
        yield event.value.delta.value;
      }
    }
  }

  protected override accepted({ event }: StreamGenerateResponse): void {
    if (event.case === "delta") {
      const { candidateIndex, delta } = event.value;
      this.#texts.set(candidateIndex, this.candidateText(candidateIndex) + (delta.value ?? ""));
    } else if (event.case === "completed") {
      this.#completed = event.value;
    }
  }
}

/** The methods of TextGenerationService, and short forms. */
export interface TextClient extends Omit<ServiceClient<typeof TextGenerationService>, "streamGenerate"> {
  /** Generates an answer and sends it while it is made. */
  streamGenerate(
    request: MessageInitShape<typeof StreamGenerateRequestSchema>,
    options?: CallOptions,
  ): GenerationStream;
  /** Answers a prompt; the stream gives its events, `pieces()` its text. */
  stream(prompt: Prompt, options: GenerationStreamOptions): GenerationStream;
  /** Answers a prompt in one response; `textOf` gives its text. */
  answer(prompt: Prompt, options: GenerationOptions): Call<GenerateResponse>;
}

/** Returns the text of a candidate of an answer. */
export function textOf(response: GenerateResponse, candidateIndex = 0): string {
  const parts = response.candidates[candidateIndex]?.message?.parts ?? [];
  return parts.map(({ part }) => (part.case === "text" ? part.value : "")).join("");
}

/** Returns a prompt as a conversation of the contract. */
export function conversation(prompt: Prompt, systemInstruction = ""): MessageInitShape<typeof ConversationSchema> {
  const turns: readonly ChatTurn[] = typeof prompt === "string" ? [{ role: "user", content: prompt }] : prompt;
  return {
    systemInstruction,
    messages: turns.map(({ role, content }) => ({
      role: ROLES[role],
      parts: [{ part: { case: "text", value: content } }],
    })),
  };
}

const ROLES: Readonly<Record<ChatTurn["role"], Conversation["messages"][number]["role"]>> = {
  system: ChatRole.SYSTEM,
  user: ChatRole.USER,
  assistant: ChatRole.ASSISTANT,
};

function generationInput(prompt: Prompt, options: GenerationOptions): MessageInitShape<typeof GenerationInputSchema> {
  return {
    model: options.model,
    prompt: { case: "conversation", value: conversation(prompt, options.systemInstruction) },
    ...(options.sampling ? { sampling: options.sampling } : {}),
    ...(options.output ? { output: options.output } : {}),
  };
}

/** Returns the methods of a client's `text`. */
export function textClient(caller: Caller): TextClient {
  const rpc = serviceClient(TextGenerationService, caller);
  const streamGenerate: TextClient["streamGenerate"] = (request, options) =>
    new GenerationStream(caller.serverStream(TextGenerationService.method.streamGenerate, request, options));
  return {
    ...rpc,
    streamGenerate,
    stream: (prompt, options) =>
      streamGenerate(
        { input: generationInput(prompt, options), ...(options.stream ? { stream: options.stream } : {}) },
        options,
      ),
    answer: (prompt, options) => rpc.generate({ input: generationInput(prompt, options) }, options),
  };
}
