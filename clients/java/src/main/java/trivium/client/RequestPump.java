package trivium.client;

import java.util.concurrent.Flow;

/**
 * Sends what a publisher gives, as fast as the call takes it: one message is asked for at a time,
 * and none while the call is not ready.
 */
final class RequestPump<Q> implements Flow.Subscriber<Q> {
  private final ManagedCall<Q, ?> call;

  // Guarded by this.
  private Flow.Subscription source;
  private boolean isAsked;
  private boolean isDone;

  RequestPump(ManagedCall<Q, ?> call) {
    this.call = call;
  }

  @Override
  public void onSubscribe(Flow.Subscription subscription) {
    boolean isLate;
    synchronized (this) {
      isLate = isDone || source != null;
      if (!isLate) {
        source = subscription;
        isAsked = true;
      }
    }
    if (isLate) {
      subscription.cancel();
    } else {
      subscription.request(1); // before the call is ready, for a call with one request never is
    }
  }

  @Override
  public void onNext(Q message) {
    synchronized (this) {
      isAsked = false;
      if (isDone) {
        return;
      }
    }
    call.sendMessage(message);
    ready();
  }

  @Override
  public void onComplete() {
    if (finish()) {
      call.halfClose();
    }
  }

  @Override
  public void onError(Throwable thrown) {
    if (finish()) {
      call.cancel("the requests failed", thrown);
    }
  }

  /** The call may take another message. */
  void ready() {
    Flow.Subscription ask;
    synchronized (this) {
      if (isDone || isAsked || source == null || !call.takesMore()) {
        return;
      }
      isAsked = true;
      ask = source;
    }
    ask.request(1);
  }

  /** The call is over. */
  void close() {
    Flow.Subscription dropped;
    synchronized (this) {
      dropped = isDone ? null : source;
      isDone = true;
    }
    if (dropped != null) {
      dropped.cancel();
    }
  }

  private synchronized boolean finish() {
    boolean isFirst = !isDone;
    isDone = true;
    return isFirst;
  }
}
