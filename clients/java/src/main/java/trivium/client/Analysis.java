package trivium.client;

import trivium.v1.ClassifyTextRequest;
import trivium.v1.ClassifyTextResponse;
import trivium.v1.DetectLanguageRequest;
import trivium.v1.DetectLanguageResponse;
import trivium.v1.ExtractEntitiesRequest;
import trivium.v1.ExtractEntitiesResponse;
import trivium.v1.TextAnalysisServiceGrpc;

/**
 * Calls of TextAnalysisService: what texts are about, what they mention, and in which language they
 * are. Thread-safe.
 */
public final class Analysis {
  private final Calls calls;

  Analysis(Calls calls) {
    this.calls = calls;
  }

  /**
   * Changes the settings of the calls.
   *
   * @param settings the settings, in place of those so far
   * @return the same calls with these settings
   */
  public Analysis with(CallSettings settings) {
    return new Analysis(calls.with(settings));
  }

  /**
   * Scores labels for each text.
   *
   * @param request what to send
   * @return the response
   * @throws TriviumException where the call failed, or this thread was interrupted
   */
  public ClassifyTextResponse classifyText(ClassifyTextRequest request) {
    return calls.send(TextAnalysisServiceGrpc.getClassifyTextMethod(), request);
  }

  /**
   * Scores labels for each text, without waiting.
   *
   * @param request what to send
   * @return the response, once it is there
   */
  public ResponseFuture<ClassifyTextResponse> classifyTextAsync(ClassifyTextRequest request) {
    return calls.sendAsync(TextAnalysisServiceGrpc.getClassifyTextMethod(), request);
  }

  /**
   * Finds names of people, places and other things in each text.
   *
   * @param request what to send
   * @return the response
   * @throws TriviumException where the call failed, or this thread was interrupted
   */
  public ExtractEntitiesResponse extractEntities(ExtractEntitiesRequest request) {
    return calls.send(TextAnalysisServiceGrpc.getExtractEntitiesMethod(), request);
  }

  /**
   * Finds names of people, places and other things in each text, without waiting.
   *
   * @param request what to send
   * @return the response, once it is there
   */
  public ResponseFuture<ExtractEntitiesResponse> extractEntitiesAsync(
      ExtractEntitiesRequest request) {
    return calls.sendAsync(TextAnalysisServiceGrpc.getExtractEntitiesMethod(), request);
  }

  /**
   * Tells in which language each text is written.
   *
   * @param request what to send
   * @return the response
   * @throws TriviumException where the call failed, or this thread was interrupted
   */
  public DetectLanguageResponse detectLanguage(DetectLanguageRequest request) {
    return calls.send(TextAnalysisServiceGrpc.getDetectLanguageMethod(), request);
  }

  /**
   * Tells in which language each text is written, without waiting.
   *
   * @param request what to send
   * @return the response, once it is there
   */
  public ResponseFuture<DetectLanguageResponse> detectLanguageAsync(DetectLanguageRequest request) {
    return calls.sendAsync(TextAnalysisServiceGrpc.getDetectLanguageMethod(), request);
  }
}
