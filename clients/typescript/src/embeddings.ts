import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Caller } from "./caller.js";
import { TriviumError } from "./errors.js";
import {
  type EmbedConfigSchema,
  type Embedding,
  EmbeddingService,
  type PackedVector,
  VectorEncoding,
} from "./gen/trivium/v1/embedding_pb.js";
import type { ImageEmbedding } from "./gen/trivium/v1/vision_pb.js";
import { type ServiceClient, serviceClient } from "./service.js";
import type { CallOptions } from "./settings.js";
import { itemError } from "./status.js";

/** How to embed texts. */
export interface VectorOptions extends CallOptions {
  /** The name of the model. */
  readonly model: string;
  /** What else to ask for, for example `{ purpose: EmbedPurpose.QUERY }`. */
  readonly config?: Omit<MessageInitShape<typeof EmbedConfigSchema>, "model" | "encoding" | "$typeName"> | undefined;
}

/** The methods of EmbeddingService, and a short form. */
export interface EmbeddingsClient extends ServiceClient<typeof EmbeddingService> {
  /** Returns a vector for each text, in their order. Throws where one text failed, with the error of the first. */
  vectors(texts: readonly string[], options: VectorOptions): Promise<Float32Array[]>;
}

/** Returns the methods of a client's `embeddings`. */
export function embeddingsClient(caller: Caller): EmbeddingsClient {
  const rpc = serviceClient(EmbeddingService, caller);
  return {
    ...rpc,
    async vectors(texts, options) {
      const response = await rpc.embed(
        {
          config: { ...options.config, model: options.model, encoding: VectorEncoding.FLOAT32_BYTES },
          items: texts.map((text) => ({ input: { case: "text", value: text } })),
        },
        options,
      );
      return response.results.map(({ outcome }) => {
        if (outcome.case === "error") {
          throw itemError(outcome.value, response.info?.requestId);
        }
        return denseVector(outcome.value);
      });
    },
  };
}

/**
 * Returns the components of a dense vector, whatever its encoding. Throws DATA_LOSS for what is none: a sparse one, one
 * for each token, one of bits, or a kind that this client does not know.
 */
export function denseVector(embedding: Embedding | ImageEmbedding | undefined): Float32Array {
  const vector = embedding?.vector;
  if (vector?.case === "dense") {
    return Float32Array.from(vector.value.values);
  }
  if (vector?.case === "packed") {
    return unpacked(vector.value);
  }
  throw noVector(`the embedding is ${vector?.case ?? "of an unknown kind"}, not one dense vector`);
}

function unpacked({ data, dimensions, encoding, scale }: PackedVector): Float32Array {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const component = COMPONENTS.get(encoding);
  if (!component || view.byteLength !== dimensions * component.bytes) {
    throw noVector(`${data.length} bytes are no vector of ${dimensions} components in encoding ${encoding}`);
  }
  return Float32Array.from({ length: dimensions }, (_, index) => component.read(view, index) * (scale ?? 1));
}

const COMPONENTS: ReadonlyMap<VectorEncoding, { bytes: number; read: (view: DataView, index: number) => number }> =
  new Map([
    [VectorEncoding.FLOAT32_BYTES, { bytes: 4, read: (view, index) => view.getFloat32(4 * index, true) }],
    [VectorEncoding.FLOAT16_BYTES, { bytes: 2, read: (view, index) => halfFloat(view.getUint16(2 * index, true)) }],
    [VectorEncoding.INT8_BYTES, { bytes: 1, read: (view, index) => view.getInt8(index) }],
  ]);

/** Source: IEEE 754-2019, binary16. */
function halfFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) {
    return sign * fraction * 2 ** -24;
  }
  if (exponent === 0x1f) {
    return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  }
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function noVector(message: string): TriviumError {
  return new TriviumError(message, { code: "DATA_LOSS" });
}
