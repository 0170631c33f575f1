package trivium.client;

import io.grpc.Status;
import java.time.Duration;
import java.util.OptionalLong;
import java.util.function.DoubleSupplier;
import java.util.function.LongSupplier;

/**
 * The attempts of one call: counts them and says how long to wait. Pure: the randomness and what is
 * left of the deadline are passed in. Not thread-safe.
 */
final class Attempts {
  private static final double SPREAD = 0.2;

  private final RetryPolicy policy;
  private final LongSupplier remainingNanos;
  private final DoubleSupplier random;
  private int made;

  /**
   * @param remainingNanos what is left until the deadline; Long.MAX_VALUE without one
   * @param random uniform from 0 to 1
   */
  Attempts(RetryPolicy policy, LongSupplier remainingNanos, DoubleSupplier random) {
    this.policy = policy;
    this.remainingNanos = remainingNanos;
    this.random = random;
  }

  /** Counts an attempt. */
  void begin() {
    made++;
  }

  /** The attempt at hand brought the call forward: it counts as the first one. */
  void renew() {
    made = 1;
  }

  /** Returns the nanoseconds to wait before the next attempt; empty where there must be none. */
  OptionalLong delayBeforeRetry(Failure failure) {
    if (made >= policy.maxAttempts() || !isRetriable(failure)) {
      return OptionalLong.empty();
    }
    double delay = failure.pushback() != null ? pushback(failure.pushback()) : backoff(failure);
    if (delay < 0 || delay >= remainingNanos.getAsLong()) {
      return OptionalLong.empty();
    }
    return OptionalLong.of((long) delay);
  }

  private static boolean isRetriable(Failure failure) {
    ErrorFacts facts = failure.error().facts();
    if (failure.isLasting()) {
      return false;
    }
    boolean isLoss =
        facts.kind() == ErrorKind.SERVER_UNAVAILABLE || facts.kind() == ErrorKind.CONNECTION_LOST;
    if (isLoss || facts.code() == Status.Code.UNAVAILABLE) {
      return true;
    }
    return facts.code() == Status.Code.RESOURCE_EXHAUSTED && facts.retryAfter() != null;
  }

  /** Negative: no retry. Spread on top, for callers that were refused together. */
  private double pushback(Pushback pushback) {
    if (pushback.millis() < 0 || pushback.millis() > policy.maxRetryAfter().toMillis()) {
      return -1;
    }
    return pushback.millis() * 1e6 * (1 + SPREAD * random.getAsDouble());
  }

  private double backoff(Failure failure) {
    int doublings = Math.min(made - 1, 30); // past every limit already; more would only overflow
    double ceiling =
        Math.min(nanos(policy.maxBackoff()), nanos(policy.initialBackoff()) * (1L << doublings));
    double backoff = ceiling * (1 + random.getAsDouble()) / 2;
    Duration wanted = failure.error().facts().retryAfter();
    if (wanted == null) {
      return backoff;
    }
    if (wanted.compareTo(policy.maxRetryAfter()) > 0) {
      return -1;
    }
    return Math.max(backoff, nanos(wanted) * (1 + SPREAD * random.getAsDouble()));
  }

  private static double nanos(Duration duration) {
    return duration.getSeconds() * 1e9 + duration.getNano();
  }

  /** What grpc-retry-pushback-ms says; negative forbids the retry. */
  record Pushback(long millis) {
    static Pushback parse(String text) {
      try {
        return new Pushback(Long.parseLong(text));
      } catch (NumberFormatException e) {
        return new Pushback(-1); // unreadable forbids, as the gRPC retry design (gRFC A6) has it
      }
    }
  }
}
