import { readFile, writeFile } from "node:fs/promises";
import type { Media } from "./gen/trivium/v1/common_pb.js";
import type { SynthesizeResponse } from "./gen/trivium/v1/speech_pb.js";
import { media } from "./media.js";

/** Returns an image from a file: JPEG, PNG, WebP, GIF, BMP or TIFF. Throws Node's error where it cannot be read. */
export async function imageFromFile(path: string | URL): Promise<Media> {
  return media(await readFile(path));
}

/** Returns a recording from a file: WAV, FLAC, Ogg Opus or MP3. Throws Node's error where it cannot be read. */
export async function recordingFromFile(path: string | URL): Promise<Media> {
  return media(await readFile(path));
}

/** Writes what was spoken to a file: WAV, unless the request asked for another encoding. */
export async function saveAudio(response: SynthesizeResponse, path: string | URL): Promise<void> {
  await writeFile(path, response.audio);
}
