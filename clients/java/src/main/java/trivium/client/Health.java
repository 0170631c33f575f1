package trivium.client;

import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthCheckResponse.ServingStatus;
import io.grpc.health.v1.HealthGrpc;
import java.time.Duration;

/** Calls of grpc.health.v1: whether a server, or one of its models, takes calls. Thread-safe. */
public final class Health {
  private static final Duration PROBE = Duration.ofSeconds(2);
  private static final long FIRST_PAUSE_MS = 50;
  private static final long LONGEST_PAUSE_MS = 1000;

  private final Calls calls;

  Health(Calls calls) {
    this.calls = calls;
  }

  /**
   * Changes the settings of the calls.
   *
   * @param settings the settings, in place of those so far
   * @return the same calls with these settings
   */
  public Health with(CallSettings settings) {
    return new Health(calls.with(settings));
  }

  /**
   * Asks once.
   *
   * @param service empty for the server as a whole, the full name of a service, or {@code
   *     model/NAME} for a model
   * @return what the server says
   * @throws TriviumException where the call failed, with NOT_FOUND for a service that is unknown
   */
  public ServingStatus check(String service) {
    HealthCheckRequest request = HealthCheckRequest.newBuilder().setService(service).build();
    return calls.send(HealthGrpc.getCheckMethod(), request).getStatus();
  }

  /**
   * Asks again and again, until the answer is SERVING.
   *
   * @param service as for {@link #check}
   * @param limit how long to wait at most
   * @throws TriviumException the last failure, or kind SERVER_UNAVAILABLE, where the time passed;
   *     kind CANCELLED where this thread was interrupted
   */
  public void awaitServing(String service, Duration limit) {
    long end = System.nanoTime() + Connection.nanos(limit);
    Health probe = with(calls.settings().timeout(PROBE));
    long pauseMs = FIRST_PAUSE_MS;
    while (true) {
      TriviumException last;
      try {
        ServingStatus status = probe.check(service);
        if (status == ServingStatus.SERVING) {
          return;
        }
        last = Thrown.notServing(service, status);
      } catch (TriviumException e) {
        if (e.kind().filter(ErrorKind.CANCELLED::equals).isPresent()) {
          throw e;
        }
        last = e; // a server that starts may fail in many ways
      }
      if (System.nanoTime() - end >= 0) {
        throw last;
      }
      pause(pauseMs);
      pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2);
    }
  }

  private static void pause(long millis) {
    try {
      Thread.sleep(millis);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw Thrown.cancelled("the waiting thread was interrupted", "", e);
    }
  }
}
