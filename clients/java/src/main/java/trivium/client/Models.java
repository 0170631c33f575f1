package trivium.client;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Flow;
import trivium.v1.GetModelRequest;
import trivium.v1.GetModelResponse;
import trivium.v1.ListModelsRequest;
import trivium.v1.ListModelsResponse;
import trivium.v1.Model;
import trivium.v1.ModelServiceGrpc;
import trivium.v1.WatchModelsRequest;
import trivium.v1.WatchModelsResponse;

/**
 * Calls of ModelService: which models a server has, what each can do, and in which state it is.
 * Thread-safe.
 */
public final class Models {
  private final Calls calls;

  Models(Calls calls) {
    this.calls = calls;
  }

  /**
   * Changes the settings of the calls.
   *
   * @param settings the settings, in place of those so far
   * @return the same calls with these settings
   */
  public Models with(CallSettings settings) {
    return new Models(calls.with(settings));
  }

  /**
   * Lists the models by name, a page at a time.
   *
   * @param request what to send
   * @return the response
   * @throws TriviumException where the call failed, or this thread was interrupted
   */
  public ListModelsResponse listModels(ListModelsRequest request) {
    return calls.send(ModelServiceGrpc.getListModelsMethod(), request);
  }

  /**
   * Lists the models by name, a page at a time, without waiting.
   *
   * @param request what to send
   * @return the response, once it is there
   */
  public ResponseFuture<ListModelsResponse> listModelsAsync(ListModelsRequest request) {
    return calls.sendAsync(ModelServiceGrpc.getListModelsMethod(), request);
  }

  /**
   * Returns one model.
   *
   * @param request what to send
   * @return the response
   * @throws TriviumException where the call failed, or this thread was interrupted
   */
  public GetModelResponse getModel(GetModelRequest request) {
    return calls.send(ModelServiceGrpc.getGetModelMethod(), request);
  }

  /**
   * Returns one model, without waiting.
   *
   * @param request what to send
   * @return the response, once it is there
   */
  public ResponseFuture<GetModelResponse> getModelAsync(GetModelRequest request) {
    return calls.sendAsync(ModelServiceGrpc.getGetModelMethod(), request);
  }

  /**
   * Lists all models, however many calls that takes.
   *
   * @return the models, by name
   * @throws TriviumException where a call failed, or this thread was interrupted
   */
  public List<Model> list() {
    List<Model> models = new ArrayList<>();
    String token = "";
    do {
      ListModelsResponse page =
          listModels(ListModelsRequest.newBuilder().setPageToken(token).build());
      models.addAll(page.getModelsList());
      token = page.getNextPageToken();
    } while (!token.isEmpty());
    return models;
  }

  /**
   * Returns one model.
   *
   * @param name its name
   * @return the model
   * @throws ModelNotFoundException where there is none of that name
   * @throws TriviumException where the call failed, or this thread was interrupted
   */
  public Model get(String name) {
    return getModel(GetModelRequest.newBuilder().setModel(name).build()).getModel();
  }

  /**
   * Gives all models, then every change of one, until the stream is closed. It has no idle timeout
   * unless one is set for the call.
   *
   * @return the events; to be closed
   */
  public EventStream<WatchModelsResponse> watchModels() {
    return calls.stream(
        ModelServiceGrpc.getWatchModelsMethod(), WatchModelsRequest.getDefaultInstance());
  }

  /**
   * Gives all models, then every change of one, to a reactive reader, until it cancels.
   *
   * @return the events
   */
  public Flow.Publisher<WatchModelsResponse> publishModels() {
    return calls.publish(
        ModelServiceGrpc.getWatchModelsMethod(), WatchModelsRequest.getDefaultInstance());
  }
}
