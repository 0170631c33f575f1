import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Caller } from "./caller.js";
import { TriviumError } from "./errors.js";
import type { MediaSchema } from "./gen/trivium/v1/common_pb.js";
import {
  type ImageLabels,
  type RecognizedText,
  type VisionFeatureSchema,
  type VisionResult,
  VisionService,
} from "./gen/trivium/v1/vision_pb.js";
import { type ServiceClient, serviceClient } from "./service.js";
import type { CallOptions } from "./settings.js";
import { itemError } from "./status.js";

/** Which model looks at an image. */
export interface ImageOptions extends CallOptions {
  /** The name of the model. */
  readonly model: string;
}

/** The methods of VisionService, and short forms for a single question. */
export interface VisionClient extends ServiceClient<typeof VisionService> {
  /** Returns what is written in an image: all of it as `text`, and its lines with their places. */
  readText(image: MessageInitShape<typeof MediaSchema>, options: ImageOptions): Promise<RecognizedText>;
  /** Returns what an image shows as a whole: labels, best first. */
  classify(image: MessageInitShape<typeof MediaSchema>, options: ImageOptions): Promise<ImageLabels>;
}

type Feature = NonNullable<MessageInitShape<typeof VisionFeatureSchema>["feature"]>;

/** Returns the methods of a client's `vision`. */
export function visionClient(caller: Caller): VisionClient {
  const rpc = serviceClient(VisionService, caller);

  async function only(
    image: MessageInitShape<typeof MediaSchema>,
    feature: Feature,
    options: ImageOptions,
  ): Promise<VisionResult["outcome"]> {
    const request = { image, features: [{ model: options.model, feature }] };
    const { results, info } = await rpc.analyzeImage(request, options);
    const outcome = results[0]?.outcome ?? { case: undefined };
    if (outcome.case === "error") {
      throw itemError(outcome.value, info?.requestId);
    }
    return outcome;
  }

  return {
    ...rpc,
    async readText(image, options) {
      const outcome = await only(image, { case: "textRecognition", value: {} }, options);
      if (outcome.case !== "textRecognition") {
        throw otherOutcome(outcome.case);
      }
      return outcome.value;
    },
    async classify(image, options) {
      const outcome = await only(image, { case: "classification", value: {} }, options);
      if (outcome.case !== "classification") {
        throw otherOutcome(outcome.case);
      }
      return outcome.value;
    },
  };
}

function otherOutcome(kind: string | undefined): TriviumError {
  return new TriviumError(`the server answered another question than was asked: ${kind}`, { code: "DATA_LOSS" });
}
