package trivium.client;

import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import trivium.v1.Usage;

/**
 * A call failed.
 *
 * <p>Where a Trivium server said why, the exception is of the subclass of that reason, for example
 * {@link ModelNotFoundException}. What the SDK says itself is in {@link #kind()}. A generated stub
 * over {@link TriviumClient#channel()} throws gRPC's own exception, and {@link #from} finds this
 * one in it.
 *
 * <p>{@link #getMessage()} is the message with the reason, else the code, and the request id after
 * it; {@link #message()} is the message alone.
 */
public class TriviumException extends RuntimeException {
  private static final long serialVersionUID = 1;

  private final ErrorFacts facts;

  TriviumException(ErrorFacts facts) {
    super(facts.text(), facts.cause());
    this.facts = facts;
  }

  /**
   * Finds the exception of this SDK in what a generated stub or a future threw.
   *
   * @param thrown any exception
   * @return the exception itself or the first of its causes that is one of this class; empty where
   *     there is none
   */
  public static Optional<TriviumException> from(Throwable thrown) {
    for (Throwable cause = thrown; cause != null; cause = cause.getCause()) {
      if (cause instanceof TriviumException found) {
        return Optional.of(found);
      }
    }
    return Optional.empty();
  }

  /**
   * Makes an exception of the status of an item that failed alone, while the others of its call
   * were answered.
   *
   * @param status the status, which is not OK
   * @param requestId the request id of the call
   * @return the exception
   */
  public static TriviumException of(com.google.rpc.Status status, String requestId) {
    ErrorDetails details = ErrorDetails.of(status);
    Status.Code code = Status.fromCodeValue(status.getCode()).getCode();
    return ErrorTypes.exception(
        new ErrorFacts(
            code,
            status.getMessage().isEmpty() ? code.name() : status.getMessage(),
            details.reason(),
            null,
            details.metadata(),
            details.fieldViolations(),
            details.retryAfter(),
            requestId,
            null,
            null));
  }

  /**
   * Returns what went wrong, in words.
   *
   * @return the message without reason and request id
   */
  public String message() {
    return facts.message();
  }

  /**
   * Returns the status that ended the call.
   *
   * @return the code, never OK
   */
  public Status.Code code() {
    return facts.code();
  }

  /**
   * Returns why the server says that the call failed.
   *
   * @return a name of {@link trivium.v1.ErrorReason} without its prefix, or one that this version
   *     does not know; empty where no Trivium server made the error
   */
  public Optional<String> reason() {
    return Optional.ofNullable(facts.reason());
  }

  /**
   * Returns what this SDK says about the failure.
   *
   * @return the kind, empty where the status says it all
   */
  public Optional<ErrorKind> kind() {
    return Optional.ofNullable(facts.kind());
  }

  /**
   * Returns what varies in the error, such as {@code limit}; {@link trivium.v1.ErrorReason} lists
   * the keys.
   *
   * @return the metadata of the reason; empty where there is none
   */
  public Map<String, String> metadata() {
    return facts.metadata();
  }

  /**
   * Returns the fields that the server refused.
   *
   * @return the fields, each with its problem
   */
  public List<FieldViolation> fieldViolations() {
    return facts.fieldViolations();
  }

  /**
   * Returns after which delay the server wants to see the call again.
   *
   * @return the delay, empty where the server said none
   */
  public Optional<Duration> retryAfter() {
    return Optional.ofNullable(facts.retryAfter());
  }

  /**
   * Returns the identifier under which the server's log has the call.
   *
   * @return the server's request id, else the one that was sent
   */
  public String requestId() {
    return facts.requestId();
  }

  /**
   * Returns what the call used although it failed.
   *
   * @return the usage, empty where the server did not send it
   */
  public Optional<Usage> usage() {
    return Optional.ofNullable(facts.usage());
  }

  ErrorFacts facts() {
    return facts;
  }
}
