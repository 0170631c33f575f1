package trivium.client;

import io.grpc.CallOptions;
import io.grpc.MethodDescriptor;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import java.util.concurrent.Flow;

/**
 * Calls of any method, by its descriptor, with the same manners as the methods of the groups. For
 * example, {@code client.calls().send(ModelServiceGrpc.getGetModelMethod(), request)}. Thread-safe.
 */
public final class Calls {
  private final Connection connection;
  private final CallSettings settings;
  private final CallOptions options;

  Calls(Connection connection, CallSettings settings) {
    this.connection = connection;
    this.settings = settings;
    this.options = settings.options();
  }

  /**
   * Changes the settings of the calls.
   *
   * @param changed the settings, in place of those so far
   * @return the same calls with these settings
   */
  public Calls with(CallSettings changed) {
    return new Calls(connection, changed);
  }

  /**
   * Sends a call and waits for its response.
   *
   * @param method a method with one response
   * @param request the request
   * @param <Q> its type
   * @param <R> the type of the response
   * @return the response
   * @throws TriviumException where the call failed, or this thread was interrupted
   */
  public <Q, R> R send(MethodDescriptor<Q, R> method, Q request) {
    try {
      // Hears the answer in this thread, where the future would need another one.
      return ClientCalls.blockingUnaryCall(connection, method, options, request);
    } catch (StatusRuntimeException e) {
      throw Thrown.here(Thrown.of(e.getStatus()));
    }
  }

  /**
   * Sends a call.
   *
   * @param method a method with one response
   * @param request the request
   * @param <Q> its type
   * @param <R> the type of the response
   * @return the response, once it is there
   */
  public <Q, R> ResponseFuture<R> sendAsync(MethodDescriptor<Q, R> method, Q request) {
    return ResponseFuture.send(call(method), request);
  }

  /**
   * Sends a call that is answered by a stream.
   *
   * @param method a method with one request and a stream of responses
   * @param request the request
   * @param <Q> its type
   * @param <R> the type of a response
   * @return the responses; to be closed
   */
  public <Q, R> EventStream<R> stream(MethodDescriptor<Q, R> method, Q request) {
    ManagedCall<Q, R> call = call(method);
    return EventStream.open(new EventStream<>(call), call, request);
  }

  /**
   * Begins a call with messages both ways. It is not sent again where it fails.
   *
   * @param method a method with streams both ways
   * @param <Q> the type of a request
   * @param <R> the type of a response
   * @return the stream; to be closed
   */
  public <Q, R> DuplexStream<Q, R> duplex(MethodDescriptor<Q, R> method) {
    return DuplexStream.open(call(method));
  }

  /**
   * Gives the responses of a call to a reactive reader. The call is sent once for each subscriber,
   * when it subscribes; cancelling the subscription cancels the call. Failures are a {@link
   * TriviumException}.
   *
   * @param method any method with one request
   * @param request the request
   * @param <Q> its type
   * @param <R> the type of a response
   * @return the responses
   */
  public <Q, R> Flow.Publisher<R> publish(MethodDescriptor<Q, R> method, Q request) {
    return publish(method, new OneRequest<>(request));
  }

  /**
   * Gives the responses of a call with messages both ways to a reactive reader, and takes the
   * requests of a publisher, one at a time, as the connection takes them. Its end half-closes the
   * call, its failure cancels it.
   *
   * @param method any method
   * @param requests the requests; subscribed to once for each subscriber of the responses
   * @param <Q> the type of a request
   * @param <R> the type of a response
   * @return the responses
   */
  public <Q, R> Flow.Publisher<R> publish(
      MethodDescriptor<Q, R> method, Flow.Publisher<? extends Q> requests) {
    return new CallPublisher<>(() -> call(method), requests);
  }

  CallSettings settings() {
    return settings;
  }

  <Q, R> ManagedCall<Q, R> call(MethodDescriptor<Q, R> method) {
    return connection.newManagedCall(method, options);
  }
}
