package trivium.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AttemptsTest {
  private static final double LEAST = 0;
  private static final double MOST = 1;

  @Test
  void waitsDoubleUpToTheLongest() {
    RetryPolicy patient = RetryPolicy.DEFAULT.withMaxAttempts(100);
    for (double random : new double[] {LEAST, MOST}) {
      Attempts attempts = new Attempts(patient, () -> Long.MAX_VALUE, () -> random);
      for (long ceilingMs : new long[] {200, 400, 800, 1600, 3200, 5000, 5000}) {
        attempts.begin();
        long wanted = random == LEAST ? ceilingMs / 2 : ceilingMs;
        assertEquals(wanted, millis(attempts.delayBeforeRetry(failure(null, null))));
      }
    }
  }

  @Test
  void noMoreAttemptsThanThePolicySays() {
    Attempts attempts = new Attempts(RetryPolicy.DEFAULT, () -> Long.MAX_VALUE, () -> LEAST);
    for (int made = 1; made < 4; made++) {
      attempts.begin();
      assertTrue(attempts.delayBeforeRetry(failure(null, null)).isPresent());
    }
    attempts.begin();
    assertTrue(attempts.delayBeforeRetry(failure(null, null)).isEmpty());
  }

  @ParameterizedTest
  @CsvSource({
    // retry_after_ms, pushback, random, wait in ms; -1: no retry
    "1000, , 0, 1000",
    "1000, , 1, 1200",
    "50, , 0, 100",
    "50, , 1, 200",
    "30000, , 0, 30000",
    "30001, , 0, -1",
    ", 700, 0, 700",
    ", 700, 1, 840",
    "5000, 700, 0, 700",
    "5000, 0, 1, 0",
    ", -1, 0, -1",
    ", soon, 0, -1",
    ", 30001, 0, -1",
  })
  void serversWish(Long retryAfterMs, String pushback, double random, long waitMs) {
    Attempts attempts = new Attempts(RetryPolicy.DEFAULT, () -> Long.MAX_VALUE, () -> random);
    attempts.begin();
    OptionalLong delay = attempts.delayBeforeRetry(failure(retryAfterMs, pushback));
    assertEquals(waitMs, delay.isEmpty() ? -1 : millis(delay));
  }

  @Test
  void noWaitPastTheDeadline() {
    long left = Duration.ofMillis(150).toNanos();
    Attempts hasty = new Attempts(RetryPolicy.DEFAULT, () -> left, () -> LEAST);
    hasty.begin();
    assertTrue(hasty.delayBeforeRetry(failure(null, null)).isPresent());
    Attempts late = new Attempts(RetryPolicy.DEFAULT, () -> left, () -> MOST);
    late.begin();
    assertTrue(late.delayBeforeRetry(failure(null, null)).isEmpty());
  }

  @ParameterizedTest
  @CsvSource({
    "UNAVAILABLE, , , true",
    "INTERNAL, SERVER_UNAVAILABLE, , true",
    "INTERNAL, , , false",
    "RESOURCE_EXHAUSTED, , 0, true",
    "RESOURCE_EXHAUSTED, , , false",
    "ABORTED, , 0, false",
    "DEADLINE_EXCEEDED, , 0, false",
    "DEADLINE_EXCEEDED, STREAM_IDLE_TIMEOUT, , false",
  })
  void onlyWhatMayHelpIsSentAgain(
      Status.Code code, ErrorKind kind, Long retryAfterMs, boolean isRetried) {
    Attempts attempts = new Attempts(RetryPolicy.DEFAULT, () -> Long.MAX_VALUE, () -> LEAST);
    attempts.begin();
    Failure failure = new Failure(error(code, kind, retryAfterMs), null, false);
    assertEquals(isRetried, attempts.delayBeforeRetry(failure).isPresent());
    Failure lasting = new Failure(failure.error(), null, true);
    assertTrue(attempts.delayBeforeRetry(lasting).isEmpty());
  }

  private static Failure failure(Long retryAfterMs, String pushback) {
    return new Failure(
        error(Status.Code.UNAVAILABLE, null, retryAfterMs),
        pushback == null ? null : Attempts.Pushback.parse(pushback),
        false);
  }

  private static TriviumException error(Status.Code code, ErrorKind kind, Long retryAfterMs) {
    Duration retryAfter = retryAfterMs == null ? null : Duration.ofMillis(retryAfterMs);
    return new TriviumException(
        new ErrorFacts(code, "", null, kind, Map.of(), List.of(), retryAfter, "", null, null));
  }

  private static long millis(OptionalLong nanos) {
    return Math.round(nanos.orElseThrow() / 1e6);
  }
}
