package trivium.client;

import java.time.Duration;

/**
 * How often and how patiently a failed call is sent again.
 *
 * <p>Sent again are calls with one request whose connection was lost or that failed with
 * UNAVAILABLE, unless TLS could not be agreed on, and those that failed with RESOURCE_EXHAUSTED
 * where the server said when to come back; never past the call's deadline. After the first message
 * of the answer only a stream of text goes on, where the answer can be made again: with a seed or
 * temperature 0, and without log-probabilities; its attempts count anew from each new event. The
 * wait is random between half and all of the first backoff, doubled at each attempt up to the
 * longest one, and never shorter than the server asks for.
 *
 * @param maxAttempts how often a call is sent at most, the first time included; 1 switches retries
 *     off
 * @param initialBackoff the longest wait before the second attempt
 * @param maxBackoff the longest wait before any attempt, unless the server asks for more
 * @param maxRetryAfter a server that asks for a longer wait gets no retry
 */
public record RetryPolicy(
    int maxAttempts, Duration initialBackoff, Duration maxBackoff, Duration maxRetryAfter) {
  /** Four attempts; waits of 0.2 s, doubled up to 5 s; at most 30 s where the server asks. */
  public static final RetryPolicy DEFAULT =
      new RetryPolicy(4, Duration.ofMillis(200), Duration.ofSeconds(5), Duration.ofSeconds(30));

  /** Every call is sent once. */
  public static final RetryPolicy NONE = DEFAULT.withMaxAttempts(1);

  /**
   * Makes a policy.
   *
   * @param maxAttempts at least 1
   * @param initialBackoff not negative
   * @param maxBackoff not negative
   * @param maxRetryAfter not negative
   * @throws IllegalArgumentException for anything else
   */
  public RetryPolicy {
    if (maxAttempts < 1) {
      throw new IllegalArgumentException("maxAttempts is " + maxAttempts + "; it is at least 1");
    }
    if (initialBackoff.isNegative() || maxBackoff.isNegative() || maxRetryAfter.isNegative()) {
      throw new IllegalArgumentException("a wait of the retry policy is negative");
    }
  }

  /**
   * Changes the number of attempts.
   *
   * @param attempts how often a call is sent at most, at least 1
   * @return a copy with this number
   */
  public RetryPolicy withMaxAttempts(int attempts) {
    return new RetryPolicy(attempts, initialBackoff, maxBackoff, maxRetryAfter);
  }
}
