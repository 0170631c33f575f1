import { create } from "@bufbuild/protobuf";
import { type Media, MediaSchema } from "./gen/trivium/v1/common_pb.js";

/** Returns an image or a recording to be sent, from its bytes or from a file that a page was given. */
export async function media(content: Uint8Array | Blob): Promise<Media> {
  const isBlob = content instanceof Blob;
  return create(MediaSchema, {
    source: { case: "content", value: isBlob ? new Uint8Array(await content.arrayBuffer()) : content },
    mimeType: isBlob ? content.type : "",
  });
}
