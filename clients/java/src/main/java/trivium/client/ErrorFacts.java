package trivium.client;

import io.grpc.Status;
import java.io.Serializable;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import trivium.v1.ErrorReason;
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

  /** Returns the message, and after it why the call failed and which one it was. */
  String text() {
    String why = reason == null ? code.name() : reason;
    return message + " (" + why + (requestId.isEmpty() ? "" : ", request " + requestId) + ")";
  }

  /** A request that is larger than the client may send. */
  static ErrorFacts tooLarge(int size, int limit, String requestId) {
    return new ErrorFacts(
        Status.Code.INVALID_ARGUMENT,
        "the request has " + size + " bytes; the limit is " + limit,
        ErrorReason.ERROR_REASON_INPUT_TOO_LARGE.name().substring("ERROR_REASON_".length()),
        ErrorKind.INVALID_CALL,
        Map.of("actual", Integer.toString(size), "limit", Integer.toString(limit)),
        List.of(),
        null,
        requestId,
        null,
        null);
  }

  /** An error that the SDK found itself. */
  static ErrorFacts local(
      ErrorKind kind, Status.Code code, String message, String requestId, Throwable cause) {
    return new ErrorFacts(
        code, message, null, kind, Map.of(), List.of(), null, requestId, null, cause);
  }
}
