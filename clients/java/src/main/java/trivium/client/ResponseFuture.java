package trivium.client;

import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.Status;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/**
 * The response of a call, once it is there. Fails with a {@link TriviumException}. Cancelling it
 * cancels the call, at the server too; cancelling a stage that depends on it does not.
 *
 * @param <R> the message that the server sends
 */
public final class ResponseFuture<R> extends CompletableFuture<R> {
  private final ManagedCall<?, R> call;

  private ResponseFuture(ManagedCall<?, R> call) {
    this.call = call;
  }

  static <Q, R> ResponseFuture<R> send(ManagedCall<Q, R> call, Q request) {
    ResponseFuture<R> future = new ResponseFuture<>(call);
    call.start(future.new Completion(), new Metadata());
    call.request(2); // one more than there is, so that gRPC sees a second one and refuses it
    call.sendMessage(request);
    call.halfClose();
    return future;
  }

  /**
   * Returns the request id that the call is sent with.
   *
   * @return the id
   */
  public String requestId() {
    return call.requestId();
  }

  @Override
  public boolean cancel(boolean mayInterruptIfRunning) {
    boolean isCancelled = super.cancel(mayInterruptIfRunning);
    call.cancel("the future was cancelled", null);
    return isCancelled;
  }

  /**
   * Waits for the response. A thread that is interrupted cancels the call and stays interrupted.
   *
   * @return the response
   * @throws TriviumException where the call failed, was cancelled, or the thread was interrupted
   */
  public R await() {
    try {
      return get();
    } catch (ExecutionException e) {
      throw Thrown.here(e.getCause());
    } catch (CancellationException e) {
      throw Thrown.cancelled("the future was cancelled", requestId(), e);
    } catch (InterruptedException e) {
      cancel(true);
      Thread.currentThread().interrupt();
      throw Thrown.cancelled("the waiting thread was interrupted", requestId(), e);
    }
  }

  private final class Completion extends ClientCall.Listener<R> {
    private R response;

    @Override
    public void onMessage(R message) {
      response = message;
    }

    @Override
    public void onClose(Status status, Metadata trailers) {
      if (!status.isOk()) {
        completeExceptionally(Thrown.of(status));
      } else if (response == null) {
        completeExceptionally(
            new TriviumException(
                ErrorFacts.local(
                    null, Status.Code.INTERNAL, "the answer is empty", requestId(), null)));
      } else {
        complete(response);
      }
    }
  }
}
