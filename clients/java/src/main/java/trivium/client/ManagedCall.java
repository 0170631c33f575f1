package trivium.client;

import com.google.protobuf.MessageLite;
import io.grpc.Attributes;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.Context;
import io.grpc.Deadline;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.UUID;
import java.util.concurrent.Executor;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import trivium.v1.ErrorReason;

/**
 * A call with the SDK's manners. Sends it as often as the retry policy says, as long as no message
 * of the answer has reached the listener, and ends it with a status whose cause is the {@link
 * TriviumException}.
 *
 * <p>A call with one request is sent when it is half-closed: everything that an attempt needs is
 * known then. As every ClientCall it is used by one thread at a time, except cancel() and
 * request(), which any thread may call.
 */
final class ManagedCall<Q, R> extends ClientCall<Q, R> {
  private final Connection connection;
  private final MethodDescriptor<Q, R> method;
  private final CallOptions options;
  private final CallSettings settings;
  private final String requestId;
  private final Context context = Context.current();
  private final Attempts attempts;

  /** While an attempt runs gRPC itself hears the context; between two attempts this does. */
  private final Context.CancellationListener contextListener =
      ended -> cancel("the context was cancelled", ended.cancellationCause());

  private volatile Listener<R> listener;
  private Metadata headers;
  private Q request;

  // Guarded by this.
  private ClientCall<Q, R> attempt;
  private IdleLimit idleLimit;
  private ScheduledFuture<?> pause;
  private long requested;
  private int numLaunched;
  private TriviumException refusal;
  private boolean isCancelled;
  private boolean isOver;

  private volatile boolean isComplete;

  ManagedCall(
      Connection connection,
      MethodDescriptor<Q, R> method,
      CallOptions options,
      CallSettings settings) {
    this.connection = connection;
    this.method = method;
    this.options = options;
    this.settings = settings;
    this.requestId =
        settings.requestId() == null ? UUID.randomUUID().toString() : settings.requestId();
    this.attempts =
        new Attempts(
            connection.settings().retry(),
            this::remainingNanos,
            () -> ThreadLocalRandom.current().nextDouble());
  }

  /** Returns the request id that all attempts are sent with. */
  String requestId() {
    return requestId;
  }

  @Override
  public void start(Listener<R> responseListener, Metadata requestHeaders) {
    listener = responseListener;
    headers = requestHeaders;
    if (!hasOneRequest()) {
      launch();
    }
  }

  @Override
  public void request(int numMessages) {
    ClientCall<Q, R> current;
    synchronized (this) {
      requested += numMessages;
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
      refuse(tooLarge(size, limit));
    } else if (hasOneRequest()) {
      request = message;
    } else {
      unlessOver(() -> attempt.sendMessage(message));
    }
  }

  @Override
  public void halfClose() {
    if (hasOneRequest()) {
      launch();
    } else {
      unlessOver(() -> attempt.halfClose());
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
      finishAside(cancelled(Status.CANCELLED.withCause(cause)), new Metadata());
    }
  }

  @Override
  public boolean isReady() {
    ClientCall<Q, R> current;
    synchronized (this) {
      current = attempt;
    }
    return current != null && current.isReady();
  }

  @Override
  public void setMessageCompression(boolean isEnabled) {
    if (attempt != null) {
      attempt.setMessageCompression(isEnabled);
    }
  }

  @Override
  public synchronized Attributes getAttributes() {
    return attempt == null ? Attributes.EMPTY : attempt.getAttributes();
  }

  /** Whether the answer's terminal event arrived. */
  boolean isComplete() {
    return isComplete;
  }

  /** Whether another request may be given; one that has only one is to be half-closed after it. */
  boolean takesMore() {
    return hasOneRequest() || isReady();
  }

  private boolean hasOneRequest() {
    return method.getType().clientSendsOneMessage();
  }

  private synchronized boolean isEnding() {
    return refusal != null || isCancelled || isOver;
  }

  private long remainingNanos() {
    Deadline ofCall = options.getDeadline();
    Deadline ofContext = context.getDeadline();
    long left = ofCall == null ? Long.MAX_VALUE : ofCall.timeRemaining(TimeUnit.NANOSECONDS);
    return ofContext == null ? left : Math.min(left, ofContext.timeRemaining(TimeUnit.NANOSECONDS));
  }

  /** Sends an attempt. */
  private void launch() {
    TriviumException early = null;
    int number;
    synchronized (this) {
      pause = null;
      number = ++numLaunched;
      if (isOver) {
        return;
      }
      if (refusal != null || isCancelled) {
        early = refusal != null ? refusal : cancelled(Status.CANCELLED);
      }
    }
    if (early != null) {
      finishAside(early, new Metadata());
      return;
    }
    attempts.begin();
    Context before = context.attach(); // the caller's, also where the timer's thread sends
    try {
      send(number);
    } finally {
      context.detach(before);
    }
  }

  private void send(int number) {
    ClientCall<Q, R> call = connection.channel().newCall(method, options);
    Metadata own = connection.settings().requestMetadata(headers, settings, requestId);
    IdleLimit limit = newIdleLimit();
    call.start(new AttemptListener(limit), own);
    long wanted;
    boolean isTooLate;
    synchronized (this) {
      if (number != numLaunched || pause != null) {
        return; // it failed already, and the next attempt is under way
      }
      attempt = call;
      idleLimit = limit;
      wanted = requested;
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
    if (hasOneRequest()) {
      call.sendMessage(request);
      call.halfClose();
    }
  }

  private IdleLimit newIdleLimit() {
    if (method.getType().serverSendsOneMessage()) {
      return null;
    }
    var duration =
        settings.idleTimeout() == null
            ? connection.settings().idleTimeout()
            : settings.idleTimeout();
    long nanos = Connection.nanos(duration);
    if (nanos == Long.MAX_VALUE) {
      return null;
    }
    String text = "no message for " + nanos / 1e9 + " s";
    return new IdleLimit(
        connection.timer(),
        nanos,
        () -> refuse(local(ErrorKind.STREAM_IDLE_TIMEOUT, Status.Code.DEADLINE_EXCEEDED, text)));
  }

  /** Ends the call with an error of the SDK's own. */
  private void refuse(TriviumException error) {
    ClientCall<Q, R> current;
    synchronized (this) {
      if (isOver || isCancelled || refusal != null) {
        return;
      }
      refusal = error;
      current = attempt;
    }
    if (current != null) {
      current.cancel(error.getMessage(), error);
    }
  }

  private TriviumException local(ErrorKind kind, Status.Code code, String message) {
    return new TriviumException(ErrorFacts.local(kind, code, message, requestId, null));
  }

  private TriviumException tooLarge(int size, int limit) {
    return ErrorTypes.exception(
        new ErrorFacts(
            Status.Code.INVALID_ARGUMENT,
            "the request has " + size + " bytes; the limit is " + limit,
            ErrorReason.ERROR_REASON_INPUT_TOO_LARGE.name().substring("ERROR_REASON_".length()),
            ErrorKind.INVALID_CALL,
            Map.of("actual", Integer.toString(size), "limit", Integer.toString(limit)),
            List.of(),
            null,
            requestId,
            null,
            null));
  }

  private TriviumException cancelled(Status status) {
    String text =
        connection.isClosed() ? "the client was closed" : "the call was cancelled by its caller";
    return Thrown.cancelled(text, requestId, status.getCause());
  }

  private boolean isCancelledHere(Status status) {
    if (connection.isClosed()) {
      return true;
    }
    synchronized (this) {
      if (isCancelled) {
        return true;
      }
    }
    return status.getCode() == Status.Code.CANCELLED && context.isCancelled();
  }

  /** Ends the call from a thread that is not one of gRPC's callbacks. */
  private void finishAside(TriviumException error, Metadata trailers) {
    Executor given = options.getExecutor();
    Executor executor = given == null ? ForkJoinPool.commonPool() : given;
    executor.execute(() -> finish(error, trailers));
  }

  /** Tells the listener the end, once. error: null where all went well. */
  private void finish(TriviumException error, Metadata trailers) {
    synchronized (this) {
      if (isOver) {
        return;
      }
      isOver = true;
    }
    context.removeListener(contextListener);
    connection.wake(this);
    if (error == null) {
      listener.onClose(Status.OK, trailers);
    } else {
      Status status = error.code().toStatus().withDescription(error.getMessage());
      listener.onClose(status.withCause(error), trailers);
    }
  }

  /** Hears one attempt. gRPC calls it from one thread at a time. */
  private final class AttemptListener extends Listener<R> {
    private final StreamCourse course = StreamCourse.of(method);
    private final IdleLimit limit;
    private Metadata answerHeaders;
    private boolean hasAnswer;

    AttemptListener(IdleLimit limit) {
      this.limit = limit;
    }

    @Override
    public void onHeaders(Metadata received) {
      answerHeaders = received; // held back: this attempt may yet be one that is sent again
    }

    @Override
    public void onMessage(R message) {
      if (limit != null) {
        limit.touch();
      }
      if (isEnding()) {
        return;
      }
      if (!hasAnswer) {
        hasAnswer = true;
        passHeaders();
      }
      String problem = course.accept(message);
      if (problem != null) {
        refuse(local(ErrorKind.TRUNCATED_STREAM, Status.Code.DATA_LOSS, problem));
        return;
      }
      isComplete = course.isComplete();
      listener.onMessage(message);
    }

    @Override
    public void onReady() {
      listener.onReady();
    }

    @Override
    public void onClose(Status status, Metadata trailers) {
      if (limit != null) {
        limit.end();
      }
      if (course.isComplete()) {
        end(null, trailers); // all was delivered; what follows takes nothing away
        return;
      }
      TriviumException own;
      synchronized (ManagedCall.this) {
        own = refusal;
      }
      if (own != null) {
        end(own, trailers);
      } else if (status.isOk()) {
        String problem = course.end();
        end(
            problem == null
                ? null
                : local(ErrorKind.TRUNCATED_STREAM, Status.Code.DATA_LOSS, problem),
            trailers);
      } else if (isCancelledHere(status)) {
        end(cancelled(status), trailers);
      } else {
        fail(status, trailers);
      }
    }

    private void fail(Status status, Metadata trailers) {
      Failure failure = connection.failures().read(status, trailers, requestId, hasAnswer);
      OptionalLong delay =
          hasOneRequest() && !hasAnswer ? attempts.delayBeforeRetry(failure) : OptionalLong.empty();
      if (delay.isEmpty() || !sleep(delay.getAsLong())) {
        end(failure.error(), trailers);
      }
    }

    private void end(TriviumException error, Metadata trailers) {
      passHeaders();
      finish(error, trailers);
    }

    private void passHeaders() {
      if (answerHeaders != null) {
        listener.onHeaders(answerHeaders);
        answerHeaders = null;
      }
    }
  }

  /** Has the next attempt sent after a while. False where the client was closed meanwhile. */
  private boolean sleep(long nanos) {
    synchronized (this) {
      attempt = null;
      if (isCancelled) {
        return false;
      }
      try {
        pause = connection.timer().schedule(this::relaunch, nanos, TimeUnit.NANOSECONDS);
      } catch (RejectedExecutionException e) {
        return false;
      }
    }
    context.addListener(contextListener, Runnable::run);
    connection.rest(this);
    return true;
  }

  private void relaunch() {
    context.removeListener(contextListener);
    connection.wake(this);
    connection.forgetFailedConnection();
    launch();
  }
}
