package trivium.client;

import com.google.protobuf.Message;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.Status;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Objects;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * The messages of a server, as they come. The call is under way from the beginning; few messages
 * are read ahead, so a slow reader holds the server back.
 *
 * <p>Reading to the end, and {@link #close()}, end the call, at the server too: use it in a
 * try-with-resources statement. For one thread at a time, except close().
 *
 * @param <R> the message that the server sends
 */
public class EventStream<R> implements Iterator<R>, Iterable<R>, AutoCloseable {
  private static final int AHEAD = 8;

  private final ManagedCall<?, R> call;

  /** Messages, then at last an End. Never full: no more are asked for than were taken. */
  private final BlockingQueue<Object> arrived = new LinkedBlockingQueue<>();

  private R next;
  private End end;
  private volatile boolean isClosed;

  /** How a call ended. error is null where it ended well. */
  private record End(TriviumException error) {}

  EventStream(ManagedCall<?, R> call) {
    this.call = call;
  }

  final <Q> void start(ManagedCall<Q, R> typedCall) {
    typedCall.start(new Arrivals(), new Metadata());
    typedCall.request(AHEAD);
  }

  /** Sends a call with one request. */
  static <Q, R, S extends EventStream<R>> S open(S stream, ManagedCall<Q, R> call, Q request) {
    stream.start(call);
    call.sendMessage(request);
    call.halfClose();
    return stream;
  }

  /**
   * Returns the request id that the call is sent with.
   *
   * @return the id
   */
  public final String requestId() {
    return call.requestId();
  }

  /**
   * Waits for the next message.
   *
   * @return false after the last one
   * @throws TriviumException where the call failed, the stream was closed, or this thread was
   *     interrupted, which cancels the call; each time again
   */
  @Override
  public final boolean hasNext() {
    if (next != null) {
      return true;
    }
    if (end == null) {
      if (isClosed) {
        end = new End(closedError());
      } else {
        take();
      }
    }
    if (end == null) {
      return true;
    }
    if (end.error() != null) {
      throw Thrown.here(end.error());
    }
    return false;
  }

  @Override
  public final R next() {
    if (!hasNext()) {
      throw new NoSuchElementException("the stream has ended");
    }
    R message = Objects.requireNonNull(next);
    next = null;
    return message;
  }

  /**
   * Returns this stream, whose messages can be read once.
   *
   * @return this
   */
  @Override
  public final Iterator<R> iterator() {
    return this;
  }

  /**
   * Returns what is left of the messages as a stream of Java's. Closing that closes this one.
   *
   * @return the messages, in their order
   */
  public final Stream<R> stream() {
    return StreamSupport.stream(spliterator(), false).onClose(this::close);
  }

  /** Ends the call, at the server too. May be called twice, from any thread, and after the end. */
  @Override
  public final void close() {
    isClosed = true;
    call.cancel("the stream was closed", null);
  }

  /** Null where all of the answer was read before the stream was closed. */
  private TriviumException closedError() {
    boolean isAllRead = call.isComplete() && !(arrived.peek() instanceof Message);
    return isAllRead ? null : Thrown.cancelled("the stream was closed", requestId(), null);
  }

  /** Called with each message before the reader has it. */
  void accept(R message) {}

  /** Called once no more messages come. */
  void ended() {}

  private void take() {
    Object item;
    try {
      item = arrived.take();
    } catch (InterruptedException e) {
      close();
      Thread.currentThread().interrupt();
      end = new End(Thrown.cancelled("the reading thread was interrupted", requestId(), e));
      return;
    }
    if (item instanceof End last) {
      end = last;
      return;
    }
    call.request(1);
    @SuppressWarnings("unchecked") // Arrivals puts in nothing else
    R message = (R) item;
    accept(message);
    next = message;
  }

  private final class Arrivals extends ClientCall.Listener<R> {
    @Override
    public void onMessage(R message) {
      arrived.add(message);
    }

    @Override
    public void onReady() {
      readyToSend();
    }

    @Override
    public void onClose(Status status, Metadata trailers) {
      arrived.add(new End(status.isOk() ? null : Thrown.of(status)));
      ended();
    }
  }

  /** Called when the call can take a request again. */
  void readyToSend() {}
}
