package trivium.client;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ConnectivityState;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import java.math.BigDecimal;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/**
 * The channel of a client, with the SDK's manners in every call: metadata, deadline, retries,
 * errors, idle limit, and the check that a stream is whole. Thread-safe.
 */
final class Connection extends Channel {
  private static final long CLOSE_SECONDS = 5;

  private final ManagedChannel channel;
  private final ClientSettings settings;
  private final FailureReader failures;
  private final ScheduledThreadPoolExecutor timer;
  private final Set<ManagedCall<?, ?>> resting = ConcurrentHashMap.newKeySet();
  private volatile boolean isClosed;

  Connection(ManagedChannel channel, ClientSettings settings) {
    this.channel = channel;
    this.settings = settings;
    this.failures = new FailureReader(settings.target());
    this.timer = new ScheduledThreadPoolExecutor(1, Connection::timerThread);
    timer.setRemoveOnCancelPolicy(true);
    timer.setExecuteExistingDelayedTasksAfterShutdownPolicy(false);
  }

  private static Thread timerThread(Runnable task) {
    Thread thread = new Thread(task, "trivium-timer");
    thread.setDaemon(true);
    return thread;
  }

  @Override
  public <Q, R> ClientCall<Q, R> newCall(MethodDescriptor<Q, R> method, CallOptions options) {
    return newManagedCall(method, options);
  }

  <Q, R> ManagedCall<Q, R> newManagedCall(MethodDescriptor<Q, R> method, CallOptions options) {
    return new ManagedCall<>(this, CallPlan.of(method, options, settings));
  }

  @Override
  public String authority() {
    return channel.authority();
  }

  ManagedChannel channel() {
    return channel;
  }

  ClientSettings settings() {
    return settings;
  }

  FailureReader failures() {
    return failures;
  }

  ScheduledThreadPoolExecutor timer() {
    return timer;
  }

  boolean isClosed() {
    return isClosed;
  }

  /**
   * Makes the next attempt connect again where the last one could not. By itself gRPC would wait
   * longer than a retry does, and meanwhile answer with the failure that is known already.
   */
  void forgetFailedConnection() {
    if (channel.getState(false) == ConnectivityState.TRANSIENT_FAILURE) {
      channel.enterIdle();
    }
  }

  /** Notes a call that waits for its next attempt, so that close() can end it. */
  void rest(ManagedCall<?, ?> call) {
    resting.add(call);
    if (isClosed) {
      call.cancel("the client was closed", null);
    }
  }

  void wake(ManagedCall<?, ?> call) {
    resting.remove(call);
  }

  /** Ends all calls and closes the connection. May be called twice. */
  void close() {
    isClosed = true;
    channel.shutdownNow();
    resting.forEach(call -> call.cancel("the client was closed", null));
    timer.shutdown();
    try {
      channel.awaitTermination(CLOSE_SECONDS, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Returns the duration in nanoseconds, the longest that there is for a longer one. */
  static long nanos(Duration duration) {
    try {
      return duration.toNanos();
    } catch (ArithmeticException e) {
      return Long.MAX_VALUE;
    }
  }

  /** Returns the seconds as people write them: 60, or 0.5. */
  static String seconds(long nanos) {
    return BigDecimal.valueOf(nanos, 9).stripTrailingZeros().toPlainString();
  }
}
