package trivium.client;

import io.grpc.Status;
import io.grpc.health.v1.HealthCheckResponse.ServingStatus;

/** Makes what gRPC's callbacks heard into what a caller's thread throws. */
final class Thrown {
  private Thrown() {}

  /** Returns the exception with which a ManagedCall ended, from its status. */
  static TriviumException of(Status status) {
    return TriviumException.from(status.getCause())
        .orElseGet(() -> foreign(status.asRuntimeException()));
  }

  /**
   * Returns the exception with the stack of this thread, which says more than that of the callback
   * that made it.
   */
  static TriviumException here(Throwable thrown) {
    TriviumException error = thrown instanceof TriviumException known ? known : foreign(thrown);
    error.fillInStackTrace();
    return error;
  }

  /** Returns what a caller sees who cancelled. cause: null where there is none. */
  static TriviumException cancelled(String message, String requestId, Throwable cause) {
    return new TriviumException(
        ErrorFacts.local(ErrorKind.CANCELLED, Status.Code.CANCELLED, message, requestId, cause));
  }

  static TriviumException notServing(String service, ServingStatus status) {
    String text = (service.isEmpty() ? "the server" : service) + " is not ready: " + status;
    return new TriviumException(
        ErrorFacts.local(ErrorKind.SERVER_UNAVAILABLE, Status.Code.UNAVAILABLE, text, "", null));
  }

  /** A status that no ManagedCall made: gRPC's own, such as when a callback threw. */
  private static TriviumException foreign(Throwable thrown) {
    Status status = Status.fromThrowable(thrown);
    String message =
        status.getDescription() == null ? status.getCode().name() : status.getDescription();
    return new TriviumException(ErrorFacts.local(null, status.getCode(), message, "", thrown));
  }
}
