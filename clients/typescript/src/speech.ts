import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Call, Caller } from "./caller.js";
import type { MediaSchema } from "./gen/trivium/v1/common_pb.js";
import {
  type RecognitionConfigSchema,
  type RecognizeResponse,
  SpeechRecognitionService,
  SpeechSynthesisService,
  type SynthesisConfigSchema,
  type SynthesizeResponse,
} from "./gen/trivium/v1/speech_pb.js";
import { type ServiceClient, serviceClient } from "./service.js";
import type { CallOptions } from "./settings.js";

/** How to write down a recording. */
export interface TranscriptionOptions extends CallOptions {
  /** The name of the model. */
  readonly model: string;
  /** What else to ask for, for example `{ languageCodes: ["en"] }`. */
  readonly config?: Omit<MessageInitShape<typeof RecognitionConfigSchema>, "model" | "$typeName"> | undefined;
}

/** How to speak a text. */
export interface SpeakingOptions extends CallOptions {
  /** The name of the model. */
  readonly model: string;
  /** What else to ask for, for example `{ speakingRate: 1.2 }`. */
  readonly config?: Omit<MessageInitShape<typeof SynthesisConfigSchema>, "model" | "$typeName"> | undefined;
}

/** The methods of SpeechRecognitionService and SpeechSynthesisService, and short forms. */
export interface SpeechClient
  extends ServiceClient<typeof SpeechRecognitionService>, ServiceClient<typeof SpeechSynthesisService> {
  /** Writes down a recording that fits into one request. */
  transcribe(recording: MessageInitShape<typeof MediaSchema>, options: TranscriptionOptions): Call<RecognizeResponse>;
  /** Speaks a text; the response's `audio` is a WAV file unless the config says otherwise. */
  speak(text: string, options: SpeakingOptions): Call<SynthesizeResponse>;
}

/** Returns the methods of a client's `speech`. */
export function speechClient(caller: Caller): SpeechClient {
  const recognition = serviceClient(SpeechRecognitionService, caller);
  const synthesis = serviceClient(SpeechSynthesisService, caller);
  return {
    ...recognition,
    ...synthesis,
    transcribe: (recording, options) =>
      recognition.recognize({ config: { ...options.config, model: options.model }, audio: recording }, options),
    speak: (text, options) =>
      synthesis.synthesize(
        { config: { ...options.config, model: options.model }, input: { input: { case: "text", value: text } } },
        options,
      ),
  };
}
