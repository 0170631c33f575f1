package trivium.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static trivium.client.ScriptedServer.completed;
import static trivium.client.ScriptedServer.delta;
import static trivium.client.ScriptedServer.fails;
import static trivium.client.ScriptedServer.generating;
import static trivium.client.ScriptedServer.hangs;
import static trivium.client.ScriptedServer.replies;

import io.grpc.Status;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Flow;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.SubmissionPublisher;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import trivium.v1.EmbeddingServiceGrpc;
import trivium.v1.StreamEmbedRequest;
import trivium.v1.StreamEmbedResponse;
import trivium.v1.StreamGenerateRequest;
import trivium.v1.StreamGenerateResponse;

@Timeout(30)
class PublisherTest {
  private static final StreamGenerateRequest REQUEST = StreamGenerateRequest.getDefaultInstance();

  @Test
  void noMoreComesThanIsRequested() throws Exception {
    try (ScriptedServer server =
            generating(replies(delta(0, "a"), delta(1, "b"), delta(2, "c"), completed(3)));
        TriviumClient client = server.client()) {
      Reader<StreamGenerateResponse> reader = new Reader<>();
      client.text().publishGenerate(REQUEST).subscribe(reader);
      assertNull(reader.heard.poll(200, TimeUnit.MILLISECONDS));
      reader.subscription.request(2);
      assertEquals(List.of(delta(0, "a"), delta(1, "b")), List.of(reader.take(), reader.take()));
      assertNull(reader.heard.poll(200, TimeUnit.MILLISECONDS));
      reader.subscription.request(Long.MAX_VALUE);
      assertEquals(delta(2, "c"), reader.take());
      assertEquals(completed(3), reader.take());
      assertEquals(Reader.COMPLETE, reader.take());
    }
  }

  @Test
  void eachSubscriberMakesACall() throws Exception {
    try (ScriptedServer server = generating(replies(completed(0)));
        TriviumClient client = server.client()) {
      var publisher = client.text().publishGenerate(REQUEST);
      for (int i = 1; i <= 2; i++) {
        Reader<StreamGenerateResponse> reader = new Reader<>();
        publisher.subscribe(reader);
        reader.subscription.request(10);
        assertEquals(completed(0), reader.take());
        assertEquals(Reader.COMPLETE, reader.take());
        assertEquals(i, server.numCalls());
      }
    }
  }

  @Test
  void failureIsOfTheSdk() throws Exception {
    try (ScriptedServer server = generating(fails(Status.Code.INTERNAL));
        TriviumClient client = server.client()) {
      Reader<StreamGenerateResponse> reader = new Reader<>();
      client.text().publishGenerate(REQUEST).subscribe(reader);
      reader.subscription.request(1);
      var error = assertInstanceOf(TriviumException.class, reader.take());
      assertEquals(Status.Code.INTERNAL, error.code());
    }
  }

  @Test
  void cancellingEndsTheCallAtTheServer() throws Exception {
    try (ScriptedServer server = generating(hangs(delta(0, "a")));
        TriviumClient client = server.client()) {
      Reader<StreamGenerateResponse> reader = new Reader<>();
      client.text().publishGenerate(REQUEST).subscribe(reader);
      reader.subscription.request(10);
      assertEquals(delta(0, "a"), reader.take());
      reader.subscription.cancel();
      assertTrue(server.sawCancel());
      assertNull(reader.heard.poll(200, TimeUnit.MILLISECONDS), "nothing is heard after cancel()");
    }
  }

  @Test
  void requestingNothingIsAnError() throws Exception {
    try (ScriptedServer server = generating(hangs(delta(0, "a")));
        TriviumClient client = server.client()) {
      Reader<StreamGenerateResponse> reader = new Reader<>();
      client.text().publishGenerate(REQUEST).subscribe(reader);
      reader.subscription.request(0);
      assertInstanceOf(IllegalArgumentException.class, reader.take());
    }
  }

  @Test
  void requestsOfAPublisherAreSent() throws Exception {
    try (ScriptedServer server = ScriptedServer.embedding();
        TriviumClient client = server.client();
        SubmissionPublisher<StreamEmbedRequest> requests = new SubmissionPublisher<>()) {
      Reader<StreamEmbedResponse> reader = subscribe(client, requests);
      for (int i = 0; i < 50; i++) {
        requests.submit(StreamTest.items("Good morning."));
      }
      requests.close();
      for (int i = 0; i < 50; i++) {
        assertEquals(i, ((StreamEmbedResponse) reader.take()).getSequence());
      }
      assertTrue(((StreamEmbedResponse) reader.take()).hasCompleted());
      assertEquals(Reader.COMPLETE, reader.take());
    }
  }

  @Test
  void failureOfTheRequestsCancelsTheCall() throws Exception {
    try (ScriptedServer server = ScriptedServer.embedding();
        TriviumClient client = server.client();
        SubmissionPublisher<StreamEmbedRequest> requests = new SubmissionPublisher<>()) {
      Reader<StreamEmbedResponse> reader = subscribe(client, requests);
      requests.submit(StreamTest.items("Good morning."));
      assertInstanceOf(StreamEmbedResponse.class, reader.take());
      IllegalStateException cause = new IllegalStateException("no more");
      requests.closeExceptionally(cause);
      var error = assertInstanceOf(TriviumException.class, reader.take());
      assertEquals(ErrorKind.CANCELLED, error.kind().orElseThrow());
      assertEquals(cause, error.getCause());
    }
  }

  private static Reader<StreamEmbedResponse> subscribe(
      TriviumClient client, Flow.Publisher<StreamEmbedRequest> requests) {
    Reader<StreamEmbedResponse> reader = new Reader<>();
    client.calls().publish(EmbeddingServiceGrpc.getStreamEmbedMethod(), requests).subscribe(reader);
    reader.subscription.request(Long.MAX_VALUE);
    return reader;
  }

  private static final class Reader<R> implements Flow.Subscriber<R> {
    private static final String COMPLETE = "complete";

    private final BlockingQueue<Object> heard = new LinkedBlockingQueue<>();
    private Flow.Subscription subscription;

    @Override
    public void onSubscribe(Flow.Subscription given) {
      subscription = given;
    }

    @Override
    public void onNext(R message) {
      heard.add(message);
    }

    @Override
    public void onError(Throwable thrown) {
      heard.add(thrown);
    }

    @Override
    public void onComplete() {
      heard.add(COMPLETE);
    }

    private Object take() throws InterruptedException {
      Object item = heard.poll(ScriptedServer.PATIENCE_S, TimeUnit.SECONDS);
      assertTrue(item != null, "nothing was heard");
      return item;
    }
  }
}
