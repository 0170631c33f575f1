package trivium.client;

import com.google.protobuf.MessageLite;
import io.grpc.Attributes;
import io.grpc.ClientCall;
import io.grpc.Context;
import io.grpc.Metadata;
import io.grpc.Status;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import trivium.v1.StreamGenerateResponse;

/**
 * A call with the SDK's manners. Sends it as often as the retry policy says, as long as no message
 * of the answer has reached the listener or the answer can be made again, and ends it with a status
 * whose cause is the {@link TriviumException}.
 *
 * <p>A call with one request is sent when it is half-closed: everything that an attempt needs is
 * known then. As every ClientCall it is used by one thread at a time, except cancel() and
 * request(), which any thread may call.
 */
final class ManagedCall<Q, R> extends ClientCall<Q, R> {
  private final Connection connection;
  private final CallPlan<Q, R> plan;
  private final Attempts attempts;
  private final StreamCourse course;

  /** While an attempt runs gRPC itself hears the context; between two attempts this does. */
  private final Context.CancellationListener contextListener =
      ended -> cancel("the context was cancelled", ended.cancellationCause());

  private volatile Listener<R> listener;
  private volatile boolean isComplete;
  private Metadata headers;
  private Q request;
  private Replay replay;
  private TriviumException loss;
  private volatile boolean hasAnswer;

  // Guarded by this.
  private ClientCall<Q, R> attempt;
  private IdleLimit idleLimit;
  private ScheduledFuture<?> pause;
  private long owed; // messages that the listener asked for and has not got
  private int numLaunched;
  private TriviumException refusal;
  private boolean isHalfClosed;
  private boolean isCancelled;
  private boolean isOver;

  ManagedCall(Connection connection, CallPlan<Q, R> plan) {
    this.connection = connection;
    this.plan = plan;
    this.course = StreamCourse.of(plan.method());
    this.attempts =
        new Attempts(
            connection.settings().retry(),
            plan::remainingNanos,
            () -> ThreadLocalRandom.current().nextDouble());
  }

  /** Returns the request id that all attempts are sent with. */
  String requestId() {
    return plan.requestId();
  }

  /** Whether the answer's terminal event arrived. */
  boolean isComplete() {
    return isComplete;
  }

  /** Whether another request may be given; one that has only one is to be half-closed after it. */
  boolean takesMore() {
    return plan.hasOneRequest() || isReady();
  }

  @Override
  public void start(Listener<R> responseListener, Metadata requestHeaders) {
    listener = responseListener;
    headers = requestHeaders;
    if (!plan.hasOneRequest()) {
      launch();
    }
  }

  @Override
  public void request(int numMessages) {
    ClientCall<Q, R> current;
    synchronized (this) {
      owed += numMessages;
      current = attempt;
      if (current != null && idleLimit != null) {
        idleLimit.want(numMessages);
      }
    }
    if (current != null) {
      current.request(numMessages);
    }
  }

  @Override
  public void sendMessage(Q message) {
    int size = ((MessageLite) message).getSerializedSize();
    int limit = connection.settings().maxMessageBytes();
    if (size > limit) {
      refuse(ErrorTypes.exception(ErrorFacts.tooLarge(size, limit, requestId())));
    } else if (plan.hasOneRequest()) {
      request = message;
      replay = Replay.of(message);
    } else {
      unlessOver(() -> attempt.sendMessage(message));
    }
  }

  @Override
  public void halfClose() {
    if (plan.hasOneRequest()) {
      launch();
      return;
    }
    unlessOver(() -> attempt.halfClose());
    synchronized (this) {
      isHalfClosed = true;
      if (idleLimit != null) {
        idleLimit.resume();
      }
    }
  }

  private void unlessOver(Runnable send) {
    if (isEnding()) {
      return;
    }
    try {
      send.run();
    } catch (IllegalStateException e) {
      if (!isEnding()) { // gRPC refuses what comes after cancel(), which any thread may call
        throw e;
      }
    }
  }

  @Override
  public void cancel(String message, Throwable cause) {
    ClientCall<Q, R> current;
    synchronized (this) {
      if (isOver || isCancelled) {
        return;
      }
      isCancelled = true;
      current = attempt;
      if (pause != null) {
        pause.cancel(false);
        pause = null;
      }
    }
    if (current != null) {
      current.cancel(message == null && cause == null ? "cancelled by the caller" : message, cause);
    } else if (listener != null) {
      finishAside(cancelled(cause));
    }
  }

  @Override
  public boolean isReady() {
    ClientCall<Q, R> current = attempt();
    return current != null && current.isReady();
  }

  @Override
  public void setMessageCompression(boolean isEnabled) {
    ClientCall<Q, R> current = attempt();
    if (current != null) {
      current.setMessageCompression(isEnabled);
    }
  }

  @Override
  public Attributes getAttributes() {
    ClientCall<Q, R> current = attempt();
    return current == null ? Attributes.EMPTY : current.getAttributes();
  }

  private synchronized ClientCall<Q, R> attempt() {
    return attempt;
  }

  /** Sends an attempt, unless the call is over already. */
  private void launch() {
    TriviumException early;
    int number;
    synchronized (this) {
      pause = null;
      number = ++numLaunched;
      if (isOver) {
        return;
      }
      early = refusal == null && isCancelled ? cancelled(null) : refusal;
    }
    if (early != null) {
      finishAside(early);
      return;
    }
    attempts.begin();
    Context before = plan.context().attach(); // also where the timer's thread sends
    try {
      send(number);
    } finally {
      plan.context().detach(before);
    }
  }

  private void send(int number) {
    ClientCall<Q, R> call = connection.channel().newCall(plan.method(), plan.options());
    IdleLimit limit = newIdleLimit();
    call.start(
        new AttemptListener<>(this, listener, course, limit),
        connection.settings().requestMetadata(headers, plan.settings(), requestId()));
    long wanted;
    boolean isTooLate;
    synchronized (this) {
      if (number != numLaunched || pause != null) {
        return; // it failed already, and the next attempt is under way
      }
      attempt = call;
      idleLimit = limit;
      wanted = owed;
      isTooLate = isCancelled;
      if (limit != null) {
        limit.begin(wanted);
      }
    }
    if (isTooLate) {
      call.cancel("cancelled by the caller", null);
      return;
    }
    if (wanted > 0) {
      call.request((int) Math.min(Integer.MAX_VALUE, wanted));
    }
    if (plan.hasOneRequest()) {
      call.sendMessage(request);
      call.halfClose();
    }
  }

  /** Null for none. */
  private IdleLimit newIdleLimit() {
    long nanos = plan.idleNanos(course, connection.settings());
    if (nanos == Long.MAX_VALUE) {
      return null;
    }
    String text = "no message for " + Connection.seconds(nanos) + " s";
    ErrorFacts idle =
        ErrorFacts.local(
            ErrorKind.STREAM_IDLE_TIMEOUT, Status.Code.DEADLINE_EXCEEDED, text, requestId(), null);
    return new IdleLimit(connection.timer(), nanos, () -> refuse(new TriviumException(idle)));
  }

  /** Notes the terminal event. */
  void complete() {
    isComplete = true;
  }

  /** Whether the listener got a message already, of any attempt. */
  boolean hasAnswer() {
    return hasAnswer;
  }

  /**
   * Notes the first message. A server that has answered a stream of requests owes nothing until the
   * caller half-closes.
   */
  synchronized void answered() {
    hasAnswer = true;
    if (idleLimit != null && !plan.hasOneRequest() && !isHalfClosed) {
      idleLimit.suspend();
    }
  }

  /** Returns what the listener is to get of a message, null where it gets none. */
  R take(R message) {
    if (replay == null || !(message instanceof StreamGenerateResponse event)) {
      return message;
    }
    try {
      Optional<StreamGenerateResponse> rest = replay.take(event);
      @SuppressWarnings("unchecked") // of the same class
      R given = (R) rest.orElse(null);
      return given;
    } catch (Replay.Different e) {
      refuse(loss);
      return null;
    }
  }

  /** Notes that the listener gets a message. */
  synchronized void passed() {
    owed--;
  }

  /** Asks for another message in place of one that the listener did not get. */
  void askAgain() {
    ClientCall<Q, R> current;
    synchronized (this) {
      current = attempt;
      if (idleLimit != null) {
        idleLimit.want(1);
      }
    }
    if (current != null) {
      current.request(1);
    }
  }

  /** Whether no more messages are to be passed on. */
  synchronized boolean isEnding() {
    return refusal != null || isCancelled || isOver;
  }

  /** Ends the call with an error of the SDK's own. */
  void refuse(TriviumException error) {
    ClientCall<Q, R> current;
    synchronized (this) {
      if (isOver || isCancelled || refusal != null) {
        return;
      }
      refusal = error;
      current = attempt;
    }
    if (current != null) {
      current.cancel(error.message(), error);
    }
  }

  /** Returns the error of refuse(), null where there was none. */
  synchronized TriviumException refusal() {
    return refusal;
  }

  /** Whether an attempt ended so because of this side. */
  boolean isCancelledHere(Status status) {
    synchronized (this) {
      if (isCancelled || connection.isClosed()) {
        return true;
      }
    }
    return status.getCode() == Status.Code.CANCELLED && plan.context().isCancelled();
  }

  /** Returns the error of a call that this side ended. cause: null where there is none. */
  TriviumException cancelled(Throwable cause) {
    String text =
        connection.isClosed() ? "the client was closed" : "the call was cancelled by its caller";
    return Thrown.cancelled(text, requestId(), cause);
  }

  Failure failure(Status status, Metadata trailers, boolean answerBegun) {
    Failure failure = connection.failures().read(status, trailers, requestId(), answerBegun);
    boolean isServers = failure.error().reason().isPresent();
    if (status.getCode() != Status.Code.DEADLINE_EXCEEDED || isServers || !plan.isLate()) {
      return failure;
    }
    Throwable cause = new TimeoutException(status.getDescription()); // what gRPC was waiting for
    ErrorFacts late = ErrorFacts.local(null, status.getCode(), plan.lateness(), requestId(), cause);
    return new Failure(new TriviumException(late), null, false);
  }

  /** Has the next attempt sent after a while. False where there is to be none. */
  boolean sendAgain(Failure failure) {
    if (!plan.hasOneRequest() || (hasAnswer && replay == null)) {
      return false;
    }
    if (replay != null && replay.hasProgressed()) {
      attempts.renew();
    }
    OptionalLong delay = attempts.delayBeforeRetry(failure);
    if (delay.isEmpty()) {
      return false;
    }
    loss = failure.error();
    if (replay != null) {
      replay.restart();
    }
    synchronized (this) {
      if (isCancelled) {
        return false;
      }
      attempt = null;
      try {
        long nanos = delay.getAsLong();
        pause = connection.timer().schedule(this::relaunch, nanos, TimeUnit.NANOSECONDS);
      } catch (RejectedExecutionException e) {
        return false; // the client was closed
      }
    }
    plan.context().addListener(contextListener, Runnable::run);
    connection.rest(this);
    return true;
  }

  private void relaunch() {
    plan.context().removeListener(contextListener);
    connection.wake(this);
    connection.forgetFailedConnection();
    launch();
  }

  /** Ends the call from a thread that is not one of gRPC's callbacks. */
  private void finishAside(TriviumException error) {
    plan.executor().execute(() -> finish(error, new Metadata()));
  }

  /** Tells the listener the end, once. error: null where all went well. */
  void finish(TriviumException error, Metadata trailers) {
    synchronized (this) {
      if (isOver) {
        return;
      }
      isOver = true;
    }
    plan.context().removeListener(contextListener);
    connection.wake(this);
    if (error == null) {
      listener.onClose(Status.OK, trailers);
    } else {
      Status status = error.code().toStatus().withDescription(error.message());
      listener.onClose(status.withCause(error), trailers);
    }
  }
}
