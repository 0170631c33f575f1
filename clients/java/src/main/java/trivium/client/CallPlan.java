package trivium.client;

import io.grpc.CallOptions;
import io.grpc.Context;
import io.grpc.Deadline;
import io.grpc.MethodDescriptor;
import java.time.Duration;
import java.util.UUID;
import java.util.concurrent.Executor;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.TimeUnit;

/**
 * What is settled about a call before it is sent, and the same for all its attempts. Thread-safe.
 *
 * @param timeout how long the settings let the call take; null where nothing limits it, or a
 *     deadline of the stub or the context also does
 * @param context the caller's
 */
record CallPlan<Q, R>(
    MethodDescriptor<Q, R> method,
    CallOptions options,
    CallSettings settings,
    String requestId,
    Duration timeout,
    Context context) {

  /** Plans a call that is made in this thread. */
  static <Q, R> CallPlan<Q, R> of(
      MethodDescriptor<Q, R> method, CallOptions options, ClientSettings client) {
    CallSettings call = options.getOption(CallSettings.KEY);
    String id = call.requestId() == null ? UUID.randomUUID().toString() : call.requestId();
    Context context = Context.current();
    Duration timeout = call.timeout();
    Deadline ofStub = options.getDeadline();
    if (timeout == null && ofStub == null && method.getType().serverSendsOneMessage()) {
      timeout = client.timeout();
    }
    Duration alone = ofStub == null && context.getDeadline() == null ? timeout : null;
    return new CallPlan<>(method, limited(options, timeout), call, id, alone, context);
  }

  /** Adds the deadline, unless the stub's is earlier. timeout: null for none. */
  private static CallOptions limited(CallOptions options, Duration timeout) {
    if (timeout == null) {
      return options;
    }
    Deadline ofStub = options.getDeadline();
    Deadline deadline = Deadline.after(Connection.nanos(timeout), TimeUnit.NANOSECONDS);
    return options.withDeadline(ofStub == null ? deadline : deadline.minimum(ofStub));
  }

  /** Whether the call can be sent again: what it asks is known when it begins. */
  boolean hasOneRequest() {
    return method.getType().clientSendsOneMessage();
  }

  /** Returns what is left until the deadline, also the context's; Long.MAX_VALUE without one. */
  long remainingNanos() {
    Deadline ofCall = options.getDeadline();
    Deadline ofContext = context.getDeadline();
    long left = ofCall == null ? Long.MAX_VALUE : ofCall.timeRemaining(TimeUnit.NANOSECONDS);
    return ofContext == null ? left : Math.min(left, ofContext.timeRemaining(TimeUnit.NANOSECONDS));
  }

  /** Whether the deadline passed. */
  boolean isLate() {
    return remainingNanos() <= 0;
  }

  /** Says that the deadline passed, and how long it was where that is known. */
  String lateness() {
    String text = "the deadline of the call passed";
    return timeout == null
        ? text
        : text + " after " + Connection.seconds(Connection.nanos(timeout)) + " s";
  }

  /** Returns how long the server may be silent; Long.MAX_VALUE without limit. */
  long idleNanos(StreamCourse course, ClientSettings client) {
    if (settings.idleTimeout() != null && !method.getType().serverSendsOneMessage()) {
      return Connection.nanos(settings.idleTimeout());
    }
    return course.mayBeSilent() ? Long.MAX_VALUE : Connection.nanos(client.idleTimeout());
  }

  /** Returns where the listener is called from, besides gRPC's own callbacks. */
  Executor executor() {
    return options.getExecutor() == null ? ForkJoinPool.commonPool() : options.getExecutor();
  }
}
