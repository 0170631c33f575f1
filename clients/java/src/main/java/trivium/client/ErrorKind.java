package trivium.client;

/** What this SDK itself says about a failure, beyond the status that ended the call. */
public enum ErrorKind {
  /** The connection was lost, or nothing was reached, before the first message of the answer. */
  SERVER_UNAVAILABLE,
  /**
   * The connection was lost after the first message of the answer, and the call could not go on;
   * see {@link RetryPolicy}.
   */
  CONNECTION_LOST,
  /** A stream ended with OK without its terminal event, or one of its events is missing. */
  TRUNCATED_STREAM,
  /** A stream brought no message for its idle timeout; the call was cancelled. */
  STREAM_IDLE_TIMEOUT,
  /** The caller cancelled the call or closed its stream, or the client was closed. */
  CANCELLED,
  /**
   * The SDK refused what it was to send; nothing was sent. Arguments that are wrong at sight are an
   * {@link IllegalArgumentException} instead.
   */
  INVALID_CALL
}
