package trivium.client;

/**
 * A call with messages both ways. Send from one thread and read in another, or send no more than
 * the server reads ahead: a server that waits for its answers to be read stops reading.
 *
 * @param <Q> the message that is sent
 * @param <R> the message that the server sends
 */
public final class DuplexStream<Q, R> extends EventStream<R> {
  private final ManagedCall<Q, R> call;
  private final Object sending = new Object();
  private boolean isOver;
  private boolean isHalfClosed;

  private DuplexStream(ManagedCall<Q, R> call) {
    super(call);
    this.call = call;
  }

  static <Q, R> DuplexStream<Q, R> open(ManagedCall<Q, R> call) {
    DuplexStream<Q, R> stream = new DuplexStream<>(call);
    stream.start(call);
    return stream;
  }

  /**
   * Sends a message. Waits while the connection, or the server, takes no more. An interrupted
   * thread sends nothing and stays interrupted. May be called while another thread reads.
   *
   * @param message the message
   * @return false, and nothing is sent, where the call is over; reading tells why
   * @throws IllegalStateException after {@link #halfClose()}
   */
  public boolean send(Q message) {
    synchronized (sending) {
      while (!isOver && !call.isReady()) {
        try {
          sending.wait();
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
          return false;
        }
      }
      if (isHalfClosed) {
        throw new IllegalStateException("the stream was half-closed; nothing can be sent any more");
      }
      if (isOver) {
        return false;
      }
      call.sendMessage(message);
      return true;
    }
  }

  /** Sends the first message, which does not wait for the connection. */
  void begin(Q setup) {
    call.sendMessage(setup);
  }

  /** Says that nothing more is sent; the server then finishes its answer. May be called twice. */
  public void halfClose() {
    synchronized (sending) {
      if (!isHalfClosed) {
        isHalfClosed = true;
        call.halfClose();
      }
    }
  }

  @Override
  void readyToSend() {
    synchronized (sending) {
      sending.notifyAll();
    }
  }

  @Override
  void ended() {
    synchronized (sending) {
      isOver = true;
      sending.notifyAll();
    }
  }
}
