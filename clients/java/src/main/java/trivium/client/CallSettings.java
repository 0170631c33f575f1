package trivium.client;

import io.grpc.CallOptions;
import io.grpc.Metadata;
import io.grpc.stub.AbstractStub;
import java.time.Duration;

/**
 * What one call changes: its time limits, request id and metadata. Immutable and thread-safe: each
 * method returns a copy with one thing changed. What is not set here is as the client says.
 */
public final class CallSettings {
  /** Nothing is changed. */
  public static final CallSettings DEFAULT = new CallSettings(null, null, null, new Metadata());

  static final CallOptions.Key<CallSettings> KEY =
      CallOptions.Key.createWithDefault("trivium.client.CallSettings", DEFAULT);

  private final Duration timeout;
  private final Duration idleTimeout;
  private final String requestId;
  private final Metadata metadata;

  private CallSettings(
      Duration timeout, Duration idleTimeout, String requestId, Metadata metadata) {
    this.timeout = timeout;
    this.idleTimeout = idleTimeout;
    this.requestId = requestId;
    this.metadata = metadata;
  }

  /**
   * Limits how long the call may take, over all its attempts. A stream has no such limit unless it
   * is set here.
   *
   * @param limit more than 0
   * @return a copy with this limit
   */
  public CallSettings timeout(Duration limit) {
    return new CallSettings(checkedLimit("timeout", limit), idleTimeout, requestId, metadata);
  }

  /**
   * Limits how long a stream may bring no message, while one is owed and read, before it fails.
   *
   * @param limit more than 0; {@code ChronoUnit.FOREVER.getDuration()} switches the limit off
   * @return a copy with this limit
   */
  public CallSettings idleTimeout(Duration limit) {
    return new CallSettings(timeout, checkedLimit("idleTimeout", limit), requestId, metadata);
  }

  /**
   * Names the call in the server's log and in its answer, instead of a random UUID.
   *
   * @param id 1 to 128 characters of A-Z, a-z, 0-9 and {@code . _ : / + = @ -}
   * @return a copy with this id
   */
  public CallSettings requestId(String id) {
    return new CallSettings(timeout, idleTimeout, MetadataRules.checkedRequestId(id), metadata);
  }

  /**
   * Sends a text along, instead of what the client sends under that key.
   *
   * @param key in any case; not one that the SDK or gRPC sets
   * @param value printable ASCII
   * @return a copy with this metadata
   */
  public CallSettings metadata(String key, String value) {
    Metadata more = copy(metadata);
    MetadataRules.put(more, key, value);
    return new CallSettings(timeout, idleTimeout, requestId, more);
  }

  /**
   * Sends bytes along, instead of what the client sends under that key.
   *
   * @param key ends in {@code -bin}
   * @param value any bytes
   * @return a copy with this metadata
   */
  public CallSettings metadata(String key, byte[] value) {
    Metadata more = copy(metadata);
    MetadataRules.put(more, key, value);
    return new CallSettings(timeout, idleTimeout, requestId, more);
  }

  /**
   * Makes the calls of a generated stub have these settings.
   *
   * @param stub a stub over {@link TriviumClient#channel()}
   * @param <S> its type
   * @return the stub with these settings
   */
  public <S extends AbstractStub<S>> S on(S stub) {
    return stub.withOption(KEY, this);
  }

  CallOptions options() {
    return CallOptions.DEFAULT.withOption(KEY, this);
  }

  Duration timeout() {
    return timeout;
  }

  Duration idleTimeout() {
    return idleTimeout;
  }

  String requestId() {
    return requestId;
  }

  Metadata metadata() {
    return metadata;
  }

  static Duration checkedLimit(String name, Duration limit) {
    if (limit.isNegative() || limit.isZero()) {
      throw new IllegalArgumentException(name + " is " + limit + "; it must be more than 0");
    }
    return limit;
  }

  static Metadata copy(Metadata metadata) {
    Metadata copy = new Metadata();
    copy.merge(metadata);
    return copy;
  }
}
