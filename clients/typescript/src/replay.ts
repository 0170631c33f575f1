// What of an answer was given, and what of a further stream of it is new. Pure. A stream that breaks goes on in another
// call with the same request, which makes the same answer anew; see "Resume" in docs/sdks.md.

import { equals, isMessage, type Message } from "@bufbuild/protobuf";
import {
  type CandidateFinished,
  CandidateFinishedSchema,
  type ContentDelta,
  StreamGenerateRequestSchema,
  type StreamGenerateResponse,
  StreamGenerateResponseSchema,
} from "./gen/trivium/v1/generation_pb.js";

/** What becomes of an event: it is given, or was known, or shows that the stream is of another answer. */
export type Verdict = "new" | "known" | "different";

/** Passes the events of a stream, and after a break what is new of the next one. */
export class Replay {
  readonly #candidates = new Map<number, Candidate>();
  #digest: string | undefined;
  #numGiven = 0n;
  #shift = 0n;
  #hasProgressed = false;
  #isResumed = false;

  /** Whether the stream at hand brought anything new; heartbeats do not count. */
  get hasProgressed(): boolean {
    return this.#hasProgressed;
  }

  /** The next event is the first one of another stream. */
  restart(): void {
    this.#isResumed = this.#numGiven > 0n;
    this.#hasProgressed = false;
    this.#shift = this.#numGiven;
    for (const candidate of this.#candidates.values()) {
      candidate.restart();
    }
  }

  /**
   * Takes the next event, and what is known away of it. It is numbered as the event of one stream, so that one that is
   * missing leaves a gap.
   */
  take(message: Message): Verdict {
    if (!isMessage(message, StreamGenerateResponseSchema)) {
      return "new";
    }
    const judged = this.#judge(message);
    const verdict = this.#isResumed ? judged : "new"; // whatever a first stream brings
    if (verdict === "new") {
      message.sequence += this.#shift;
      this.#numGiven += 1n;
      this.#hasProgressed ||= message.event.case !== undefined && message.event.case !== "heartbeat";
    } else {
      this.#shift -= 1n;
    }
    return verdict;
  }

  #judge({ event }: StreamGenerateResponse): Verdict {
    switch (event.case) {
      case "started":
        return this.#start(event.value.model?.digest ?? "");
      case "delta":
        return this.#candidate(event.value.candidateIndex).trim(event.value);
      case "candidateFinished":
        return this.#candidate(event.value.candidateIndex).finish(event.value);
      case "completed":
        return this.#isBehind() ? "different" : "new";
      default:
        return this.#isBehind() ? "known" : "new";
    }
  }

  #start(digest: string): Verdict {
    if (this.#digest === undefined) {
      this.#digest = digest;
      return "new";
    }
    return this.#digest === digest ? "known" : "different";
  }

  #candidate(index: number): Candidate {
    const candidate = this.#candidates.get(index) ?? new Candidate();
    this.#candidates.set(index, candidate);
    return candidate;
  }

  #isBehind(): boolean {
    return [...this.#candidates.values()].some((candidate) => candidate.isBehind);
  }
}

/** What was given of a candidate, and how much of that the stream at hand has still to bring. */
class Candidate {
  #text = "";
  #numTokens = 0;
  #end: CandidateFinished | undefined;
  #owed = "";
  #numTokensOwed = 0;

  get isBehind(): boolean {
    return this.#owed !== "";
  }

  restart(): void {
    this.#owed = this.#text;
    this.#numTokensOwed = this.#numTokens;
  }

  /** Takes away of a delta what was given already. */
  trim(delta: ContentDelta): Verdict {
    const text = delta.delta.value ?? "";
    const numKnown = Math.min(text.length, this.#owed.length);
    const isPastEnd = this.#end !== undefined && text.length > numKnown;
    if (isPastEnd || text.slice(0, numKnown) !== this.#owed.slice(0, numKnown)) {
      return "different";
    }
    const numTokensKnown = Math.max(0, Math.min(delta.tokenCount, this.#numTokensOwed));
    const wasBehind = this.isBehind || numTokensKnown > 0;
    this.#owed = this.#owed.slice(numKnown);
    this.#numTokensOwed -= numTokensKnown;
    const rest = text.slice(numKnown);
    if (wasBehind) {
      delta.delta = { case: "text", value: rest };
      delta.tokenCount -= numTokensKnown;
      delta.tokenIds.splice(0, numTokensKnown);
      if (rest === "" && delta.tokenCount <= 0) {
        return "known";
      }
    }
    this.#text += rest;
    this.#numTokens += Math.max(0, delta.tokenCount);
    return "new";
  }

  finish(finished: CandidateFinished): Verdict {
    if (this.isBehind) {
      return "different";
    }
    if (this.#end === undefined) {
      this.#end = finished;
      return "new";
    }
    return equals(CandidateFinishedSchema, this.#end, finished) ? "known" : "different";
  }
}

/** Returns one for a request whose answer is the same again, undefined for any other. */
export function replayOf(request: Message): Replay | undefined {
  if (!isMessage(request, StreamGenerateRequestSchema)) {
    return undefined;
  }
  const { sampling, output } = request.input ?? {};
  const isRepeatable = sampling?.seed !== undefined || sampling?.temperature === 0;
  return isRepeatable && output?.topLogprobs === undefined ? new Replay() : undefined;
}
