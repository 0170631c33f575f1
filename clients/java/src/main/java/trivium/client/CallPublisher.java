package trivium.client;

import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.Status;
import java.util.concurrent.Flow;
import java.util.function.Supplier;

/**
 * The messages of a server for a reactive reader. Each subscriber makes a call of its own; messages
 * are asked of the server as the subscriber requests them.
 */
final class CallPublisher<Q, R> implements Flow.Publisher<R> {
  private final Supplier<ManagedCall<Q, R>> calls;
  private final Flow.Publisher<? extends Q> requests;

  CallPublisher(Supplier<ManagedCall<Q, R>> calls, Flow.Publisher<? extends Q> requests) {
    this.calls = calls;
    this.requests = requests;
  }

  @Override
  public void subscribe(Flow.Subscriber<? super R> subscriber) {
    ManagedCall<Q, R> call = calls.get();
    RequestPump<Q> pump = new RequestPump<>(call);
    Delivery<R> delivery = new Delivery<>(call, subscriber, pump);
    subscriber.onSubscribe(delivery);
    call.start(delivery.listener, new Metadata());
    delivery.begin();
    requests.subscribe(pump);
  }

  private static final class Delivery<R> implements Flow.Subscription {
    private final ManagedCall<?, R> call;
    private final Flow.Subscriber<? super R> subscriber;
    private final ClientCall.Listener<R> listener;
    private boolean isStarted;
    private long early;
    private boolean isRefused;
    private volatile boolean isCancelled;

    Delivery(ManagedCall<?, R> call, Flow.Subscriber<? super R> subscriber, RequestPump<?> pump) {
      this.call = call;
      this.subscriber = subscriber;
      this.listener = new Arrivals(pump);
    }

    @Override
    public void request(long numMessages) {
      synchronized (this) {
        if (numMessages <= 0) {
          isRefused = true;
        } else if (!isStarted) {
          early = early + numMessages < 0 ? Long.MAX_VALUE : early + numMessages;
          return;
        }
      }
      if (numMessages <= 0) {
        call.cancel("a subscriber requested " + numMessages + " messages", null);
      } else {
        call.request((int) Math.min(Integer.MAX_VALUE, numMessages));
      }
    }

    @Override
    public void cancel() {
      isCancelled = true;
      call.cancel("the subscription was cancelled", null);
    }

    /** Passes on what was requested before the call began. */
    void begin() {
      long wanted;
      synchronized (this) {
        isStarted = true;
        wanted = early;
      }
      if (wanted > 0) {
        call.request((int) Math.min(Integer.MAX_VALUE, wanted));
      }
    }

    private synchronized boolean isRefused() {
      return isRefused;
    }

    private final class Arrivals extends ClientCall.Listener<R> {
      private final RequestPump<?> pump;

      Arrivals(RequestPump<?> pump) {
        this.pump = pump;
      }

      @Override
      public void onMessage(R message) {
        if (!isCancelled) {
          subscriber.onNext(message);
        }
      }

      @Override
      public void onReady() {
        pump.ready();
      }

      @Override
      public void onClose(Status status, Metadata trailers) {
        pump.close();
        if (isCancelled) {
          return;
        }
        if (isRefused()) {
          subscriber.onError(new IllegalArgumentException("request() takes 1 or more"));
        } else if (status.isOk()) {
          subscriber.onComplete();
        } else {
          subscriber.onError(Thrown.of(status));
        }
      }
    }
  }
}
