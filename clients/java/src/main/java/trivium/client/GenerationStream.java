package trivium.client;

import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;
import java.util.Optional;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.stream.StreamSupport;
import trivium.v1.CallInfo;
import trivium.v1.ContentDelta;
import trivium.v1.FinishReason;
import trivium.v1.StreamGenerateRequest;
import trivium.v1.StreamGenerateResponse;

/**
 * An answer of a language model while it is made. Read either the events or {@link #pieces()}; the
 * text of all that was read is kept.
 */
public final class GenerationStream extends EventStream<StreamGenerateResponse> {
  private final Map<Integer, StringBuilder> texts = new HashMap<>();
  private final Map<Integer, FinishReason> finishReasons = new HashMap<>();
  private CallInfo info;

  private GenerationStream(ManagedCall<?, StreamGenerateResponse> call) {
    super(call);
  }

  static GenerationStream open(
      ManagedCall<StreamGenerateRequest, StreamGenerateResponse> call,
      StreamGenerateRequest request) {
    return open(new GenerationStream(call), call, request);
  }

  /**
   * Reads the text of the first candidate piece by piece. Events without text of it are passed
   * over.
   *
   * @return the pieces, whose concatenation is the text; can be read once
   */
  public Iterable<String> pieces() {
    Iterator<StreamGenerateResponse> events = this;
    return () ->
        StreamSupport.stream(
                Spliterators.spliteratorUnknownSize(events, Spliterator.ORDERED), false)
            .filter(event -> event.hasDelta() && event.getDelta().getCandidateIndex() == 0)
            .map(event -> event.getDelta().getText())
            .filter(text -> !text.isEmpty())
            .iterator();
  }

  /**
   * Reads what is left of the stream.
   *
   * @return the whole text of the first candidate
   * @throws TriviumException where the call failed; {@link #text()} then has what came before
   */
  public String readText() {
    while (hasNext()) {
      next();
    }
    return text();
  }

  /**
   * Returns the text of the first candidate so far.
   *
   * @return all that was read
   */
  public String text() {
    return text(0);
  }

  /**
   * Returns the text of a candidate so far.
   *
   * @param candidateIndex which candidate, from 0
   * @return all of it that was read
   */
  public String text(int candidateIndex) {
    StringBuilder text = texts.get(candidateIndex);
    return text == null ? "" : text.toString();
  }

  /**
   * Tells why a candidate ended.
   *
   * @param candidateIndex which candidate, from 0
   * @return the reason, empty before its end was read
   */
  public Optional<FinishReason> finishReason(int candidateIndex) {
    return Optional.ofNullable(finishReasons.get(candidateIndex));
  }

  /**
   * Tells what the call did: usage, timing and warnings.
   *
   * @return the information, empty before the end was read
   */
  public Optional<CallInfo> info() {
    return Optional.ofNullable(info);
  }

  @Override
  void accept(StreamGenerateResponse event) {
    switch (event.getEventCase()) {
      case DELTA -> append(event.getDelta());
      case CANDIDATE_FINISHED ->
          finishReasons.put(
              event.getCandidateFinished().getCandidateIndex(),
              event.getCandidateFinished().getFinishReason());
      case COMPLETED -> info = event.getCompleted().getInfo();
      default -> {}
    }
  }

  private void append(ContentDelta delta) {
    texts
        .computeIfAbsent(delta.getCandidateIndex(), index -> new StringBuilder())
        .append(delta.getText());
  }
}
