package trivium.client;

import java.util.concurrent.Flow;
import trivium.v1.CountTokensRequest;
import trivium.v1.CountTokensResponse;
import trivium.v1.GenerateRequest;
import trivium.v1.GenerateResponse;
import trivium.v1.GenerationInput;
import trivium.v1.StreamGenerateRequest;
import trivium.v1.StreamGenerateResponse;
import trivium.v1.TextGenerationServiceGrpc;

/** Calls of TextGenerationService: answers of a language model. Thread-safe. */
public final class Text {
  private final Calls calls;

  Text(Calls calls) {
    this.calls = calls;
  }

  /**
   * Changes the settings of the calls.
   *
   * @param settings the settings, in place of those so far
   * @return the same calls with these settings
   */
  public Text with(CallSettings settings) {
    return new Text(calls.with(settings));
  }

  /**
   * Generates the whole answer.
   *
   * @param request what to send
   * @return the response
   * @throws TriviumException where the call failed, or this thread was interrupted
   */
  public GenerateResponse generate(GenerateRequest request) {
    return calls.send(TextGenerationServiceGrpc.getGenerateMethod(), request);
  }

  /**
   * Generates the whole answer, without waiting.
   *
   * @param request what to send
   * @return the response, once it is there
   */
  public ResponseFuture<GenerateResponse> generateAsync(GenerateRequest request) {
    return calls.sendAsync(TextGenerationServiceGrpc.getGenerateMethod(), request);
  }

  /**
   * Counts the tokens of a prompt, without running the model.
   *
   * @param request what to send
   * @return the response
   * @throws TriviumException where the call failed, or this thread was interrupted
   */
  public CountTokensResponse countTokens(CountTokensRequest request) {
    return calls.send(TextGenerationServiceGrpc.getCountTokensMethod(), request);
  }

  /**
   * Counts the tokens of a prompt, without running the model, without waiting.
   *
   * @param request what to send
   * @return the response, once it is there
   */
  public ResponseFuture<CountTokensResponse> countTokensAsync(CountTokensRequest request) {
    return calls.sendAsync(TextGenerationServiceGrpc.getCountTokensMethod(), request);
  }

  /**
   * Generates the whole answer.
   *
   * @param input model and prompt, for example from {@link Prompts}
   * @return the response; {@link Answers#text} has its text
   * @throws TriviumException where the call failed, or this thread was interrupted
   */
  public GenerateResponse generate(GenerationInput input) {
    return generate(GenerateRequest.newBuilder().setInput(input).build());
  }

  /**
   * Answers a question of the user.
   *
   * @param model the name of the model
   * @param prompt the question
   * @return the text of the answer
   * @throws TriviumException where the call failed, or this thread was interrupted
   */
  public String generate(String model, String prompt) {
    return Answers.text(generate(Prompts.user(model, prompt)));
  }

  /**
   * Generates an answer and gives it while it is made.
   *
   * @param request what to generate from, and how to send it
   * @return the events; to be closed
   */
  public GenerationStream streamGenerate(StreamGenerateRequest request) {
    return GenerationStream.open(
        calls.call(TextGenerationServiceGrpc.getStreamGenerateMethod()), request);
  }

  /**
   * Generates an answer and gives it while it is made.
   *
   * @param input model and prompt, for example from {@link Prompts}
   * @return the events; to be closed
   */
  public GenerationStream streamGenerate(GenerationInput input) {
    return streamGenerate(StreamGenerateRequest.newBuilder().setInput(input).build());
  }

  /**
   * Answers a question of the user, and gives the answer while it is made.
   *
   * @param model the name of the model
   * @param prompt the question
   * @return the events; to be closed
   */
  public GenerationStream streamGenerate(String model, String prompt) {
    return streamGenerate(Prompts.user(model, prompt));
  }

  /**
   * Generates an answer for a reactive reader. Each subscriber makes a call of its own.
   *
   * @param request what to generate from, and how to send it
   * @return the events
   */
  public Flow.Publisher<StreamGenerateResponse> publishGenerate(StreamGenerateRequest request) {
    return calls.publish(TextGenerationServiceGrpc.getStreamGenerateMethod(), request);
  }
}
