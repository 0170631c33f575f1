package trivium.client;

import java.util.concurrent.Flow;

/** Publishes one message. */
record OneRequest<Q>(Q request) implements Flow.Publisher<Q> {
  @Override
  public void subscribe(Flow.Subscriber<? super Q> subscriber) {
    subscriber.onSubscribe(
        new Flow.Subscription() {
          private boolean isDone;

          @Override
          public void request(long numMessages) {
            if (!isDone) {
              isDone = true;
              subscriber.onNext(request);
              subscriber.onComplete();
            }
          }

          @Override
          public void cancel() {
            isDone = true;
          }
        });
  }
}
