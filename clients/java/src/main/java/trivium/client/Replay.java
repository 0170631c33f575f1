package trivium.client;

import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import trivium.v1.CandidateFinished;
import trivium.v1.ContentDelta;
import trivium.v1.SamplingParameters;
import trivium.v1.StreamGenerateRequest;
import trivium.v1.StreamGenerateResponse;
import trivium.v1.StreamGenerateResponse.EventCase;

/**
 * Knows what of an answer was given, and takes from a further stream of it what is new. A stream
 * that breaks goes on in another call with the same request, which makes the same answer anew; see
 * "Resume" in docs/sdks.md. Not thread-safe.
 */
final class Replay {
  private final Map<Integer, Given> candidates = new HashMap<>();
  private String digest;
  private long numGiven;

  /** From the number of an event in the stream at hand to the caller's. */
  private long shift;

  private boolean hasProgressed;
  private boolean isResumed;

  private Replay() {}

  /** Returns one for a request whose answer is the same again, null for any other. */
  static Replay of(Object request) {
    if (!(request instanceof StreamGenerateRequest asked)) {
      return null;
    }
    SamplingParameters sampling = asked.getInput().getSampling();
    boolean isGreedy = sampling.hasTemperature() && sampling.getTemperature() == 0;
    boolean isRepeatable = sampling.hasSeed() || isGreedy;
    return isRepeatable && !asked.getInput().getOutput().hasTopLogprobs() ? new Replay() : null;
  }

  /** Whether the stream at hand brought anything new; heartbeats do not count. */
  boolean hasProgressed() {
    return hasProgressed;
  }

  /** The next event is the first one of another stream. */
  void restart() {
    isResumed = numGiven > 0;
    hasProgressed = false;
    shift = numGiven;
    candidates.values().forEach(Given::restart);
  }

  /**
   * Takes the next event. Returns what is new of it, empty where nothing is. It is numbered as the
   * event of one stream, so that one that is missing leaves a gap.
   */
  Optional<StreamGenerateResponse> take(StreamGenerateResponse event) throws Different {
    StreamGenerateResponse rest = event;
    try {
      rest = fresh(event);
    } catch (Different e) {
      if (isResumed) { // whatever a first stream brings is new
        throw e;
      }
    }
    if (rest == null && isResumed) {
      shift--;
      return Optional.empty();
    }
    rest = rest == null ? event : rest;
    numGiven++;
    EventCase kind = event.getEventCase();
    hasProgressed |= kind != EventCase.HEARTBEAT && kind != EventCase.EVENT_NOT_SET;
    return Optional.of(
        shift == 0 ? rest : rest.toBuilder().setSequence(rest.getSequence() + shift).build());
  }

  /** Null where nothing is new. */
  private StreamGenerateResponse fresh(StreamGenerateResponse event) throws Different {
    boolean isNew;
    switch (event.getEventCase()) {
      case STARTED -> isNew = isFirst(event.getStarted().getModel().getDigest());
      case DELTA -> {
        ContentDelta delta = event.getDelta();
        ContentDelta rest = candidate(delta.getCandidateIndex()).trim(delta);
        if (rest == null || rest == delta) {
          return rest == null ? null : event;
        }
        return event.toBuilder().setDelta(rest).build();
      }
      case CANDIDATE_FINISHED -> {
        CandidateFinished finished = event.getCandidateFinished();
        isNew = candidate(finished.getCandidateIndex()).isNewEnd(finished);
      }
      case COMPLETED -> {
        Different.unless(!isBehind());
        isNew = true;
      }
      default -> isNew = !isBehind();
    }
    return isNew ? event : null;
  }

  private boolean isFirst(String digestOfStream) throws Different {
    boolean isFirst = digest == null;
    digest = isFirst ? digestOfStream : digest;
    Different.unless(digest.equals(digestOfStream));
    return isFirst;
  }

  private Given candidate(int index) {
    return candidates.computeIfAbsent(index, unknown -> new Given());
  }

  private boolean isBehind() {
    return candidates.values().stream().anyMatch(Given::isBehind);
  }

  /** The stream at hand is not of the answer that was given. */
  static final class Different extends Exception {
    private static final long serialVersionUID = 1;

    static void unless(boolean isSame) throws Different {
      if (!isSame) {
        throw new Different();
      }
    }
  }

  /** What was given of a candidate, and how much of that the stream at hand has still to bring. */
  private static final class Given {
    private final StringBuilder text = new StringBuilder();
    private int numTokens;
    private CandidateFinished end;

    /** The text as it was at the last break, and how much of it the stream at hand brought. */
    private String known = "";

    private int numSeen;
    private int numTokensOwed;

    boolean isBehind() {
      return numSeen < known.length();
    }

    void restart() {
      known = text.toString();
      numSeen = 0;
      numTokensOwed = numTokens;
    }

    /** Returns what was not given already, null where nothing is left. */
    ContentDelta trim(ContentDelta delta) throws Different {
      String piece = delta.getText();
      int numKnown = Math.min(piece.length(), known.length() - numSeen);
      Different.unless(end == null || piece.length() == numKnown);
      Different.unless(known.regionMatches(numSeen, piece, 0, numKnown));
      int numTokensKnown = Math.max(0, Math.min(delta.getTokenCount(), numTokensOwed));
      boolean wasBehind = isBehind() || numTokensKnown > 0;
      numSeen += numKnown;
      numTokensOwed -= numTokensKnown;
      String rest = piece.substring(numKnown);
      int numTokensNew = delta.getTokenCount() - numTokensKnown;
      text.append(rest);
      numTokens += Math.max(0, numTokensNew);
      if (!wasBehind) {
        return delta;
      }
      if (rest.isEmpty() && numTokensNew <= 0) {
        return null;
      }
      ContentDelta.Builder trimmed = delta.toBuilder().setText(rest).setTokenCount(numTokensNew);
      int numIds = delta.getTokenIdsCount();
      return trimmed
          .clearTokenIds()
          .addAllTokenIds(delta.getTokenIdsList().subList(Math.min(numTokensKnown, numIds), numIds))
          .build();
    }

    boolean isNewEnd(CandidateFinished finished) throws Different {
      boolean isNew = end == null;
      Different.unless(!isBehind() && (isNew || end.equals(finished)));
      end = finished;
      return isNew;
    }
  }
}
