package trivium.client;

import io.grpc.Status;
import java.io.Serializable;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import trivium.v1.Usage;

/** What is known about a failed call. Null: nothing, except for cause, which an error may lack. */
record ErrorFacts(
    Status.Code code,
    String message,
    String reason,
    ErrorKind kind,
    Map<String, String> metadata,
    List<FieldViolation> fieldViolations,
    Duration retryAfter,
    String requestId,
    Usage usage,
    Throwable cause)
    implements Serializable {
  ErrorFacts {
    metadata = Map.copyOf(metadata);
    fieldViolations = List.copyOf(fieldViolations);
  }

  /** An error that the SDK found itself. */
  static ErrorFacts local(
      ErrorKind kind, Status.Code code, String message, String requestId, Throwable cause) {
    return new ErrorFacts(
        code, message, null, kind, Map.of(), List.of(), null, requestId, null, cause);
  }
}
