package trivium.client;

import trivium.admin.v1.AdminServiceGrpc;
import trivium.admin.v1.DrainServerRequest;
import trivium.admin.v1.DrainServerResponse;
import trivium.admin.v1.GetServerInfoRequest;
import trivium.admin.v1.GetServerInfoResponse;
import trivium.admin.v1.LoadModelRequest;
import trivium.admin.v1.LoadModelResponse;
import trivium.admin.v1.UnloadModelRequest;
import trivium.admin.v1.UnloadModelResponse;

/** Calls of AdminService, which operate one server. Thread-safe. */
public final class Admin {
  private final Calls calls;

  Admin(Calls calls) {
    this.calls = calls;
  }

  /**
   * Changes the settings of the calls.
   *
   * @param settings the settings, in place of those so far
   * @return the same calls with these settings
   */
  public Admin with(CallSettings settings) {
    return new Admin(calls.with(settings));
  }

  /**
   * Returns what the server is and what it can do.
   *
   * @param request what to send
   * @return the response
   * @throws TriviumException where the call failed, or this thread was interrupted
   */
  public GetServerInfoResponse getServerInfo(GetServerInfoRequest request) {
    return calls.send(AdminServiceGrpc.getGetServerInfoMethod(), request);
  }

  /**
   * Returns what the server is and what it can do, without waiting.
   *
   * @param request what to send
   * @return the response, once it is there
   */
  public ResponseFuture<GetServerInfoResponse> getServerInfoAsync(GetServerInfoRequest request) {
    return calls.sendAsync(AdminServiceGrpc.getGetServerInfoMethod(), request);
  }

  /**
   * Makes the server finish its running calls, refuse new ones and exit. Returns at once.
   *
   * @param request what to send
   * @return the response
   * @throws TriviumException where the call failed, or this thread was interrupted
   */
  public DrainServerResponse drainServer(DrainServerRequest request) {
    return calls.send(AdminServiceGrpc.getDrainServerMethod(), request);
  }

  /**
   * Makes the server finish its running calls, refuse new ones and exit, without waiting.
   *
   * @param request what to send
   * @return the response, once it is there
   */
  public ResponseFuture<DrainServerResponse> drainServerAsync(DrainServerRequest request) {
    return calls.sendAsync(AdminServiceGrpc.getDrainServerMethod(), request);
  }

  /**
   * Finishes the running calls of a model, then frees its memory. Returns when that is done.
   *
   * @param request what to send
   * @return the response
   * @throws TriviumException where the call failed, or this thread was interrupted
   */
  public UnloadModelResponse unloadModel(UnloadModelRequest request) {
    return calls.send(AdminServiceGrpc.getUnloadModelMethod(), request);
  }

  /**
   * Finishes the running calls of a model, then frees its memory, without waiting.
   *
   * @param request what to send
   * @return the response, once it is there
   */
  public ResponseFuture<UnloadModelResponse> unloadModelAsync(UnloadModelRequest request) {
    return calls.sendAsync(AdminServiceGrpc.getUnloadModelMethod(), request);
  }

  /**
   * Loads a model of the model store.
   *
   * @param request which
   * @return the progress, until the model is ready; to be closed, which does not stop the load
   */
  public EventStream<LoadModelResponse> loadModel(LoadModelRequest request) {
    return calls.stream(AdminServiceGrpc.getLoadModelMethod(), request);
  }
}
