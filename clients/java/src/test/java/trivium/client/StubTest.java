package trivium.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static trivium.client.ScriptedServer.completed;
import static trivium.client.ScriptedServer.counting;
import static trivium.client.ScriptedServer.delta;
import static trivium.client.ScriptedServer.fails;
import static trivium.client.ScriptedServer.generating;
import static trivium.client.ScriptedServer.hangs;
import static trivium.client.ScriptedServer.replies;
import static trivium.client.ScriptedServer.tokens;

import io.grpc.Context;
import io.grpc.Deadline;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.Iterator;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import trivium.v1.CountTokensRequest;
import trivium.v1.StreamGenerateRequest;
import trivium.v1.TextGenerationServiceGrpc;

/** Generated stubs over the client's channel have its manners. */
@Timeout(30)
class StubTest {
  private static final CountTokensRequest REQUEST = CountTokensRequest.getDefaultInstance();

  @Test
  void stubHasMetadataAndDeadline() {
    AtomicReference<Deadline> deadline = new AtomicReference<>();
    try (ScriptedServer server =
            counting(
                (request, answer) -> {
                  deadline.set(Context.current().getDeadline());
                  answer.onNext(tokens(5));
                  answer.onCompleted();
                });
        TriviumClient client =
            TriviumClient.builder()
                .target(server.target())
                .token("secret")
                .metadata("Tenant", "blue")
                .build()) {
      var stub = TextGenerationServiceGrpc.newBlockingStub(client.channel());
      CallSettings settings = CallSettings.DEFAULT.requestId("id-1").metadata("tenant", "red");
      assertEquals(5, settings.on(stub).countTokens(REQUEST).getTokenCount());
      assertEquals("id-1", server.header(0, "x-request-id"));
      assertEquals("red", server.header(0, "tenant"));
      assertEquals("Bearer secret", server.header(0, "authorization"));
      String name = server.header(0, "trivium-client");
      assertTrue(name.matches("trivium-java/\\d+\\.\\d+\\.\\d+ java/\\d+"), name);
      long seconds = deadline.get().timeRemaining(TimeUnit.SECONDS);
      assertTrue(seconds > 50 && seconds <= 60, seconds + " s");
    }
  }

  @Test
  void stubIsSentAgain() throws Exception {
    try (ScriptedServer server = counting(fails(Status.Code.UNAVAILABLE), replies(tokens(5)));
        TriviumClient client = server.client()) {
      var stub = TextGenerationServiceGrpc.newFutureStub(client.channel());
      assertEquals(5, stub.countTokens(REQUEST).get().getTokenCount());
      assertEquals(2, server.numCalls());
    }
  }

  @Test
  void exceptionOfTheSdkIsTheCause() {
    try (ScriptedServer server = generating(replies(delta(0, "Good")));
        TriviumClient client = server.client()) {
      Iterator<?> events =
          TextGenerationServiceGrpc.newBlockingStub(client.channel())
              .streamGenerate(StreamGenerateRequest.getDefaultInstance());
      events.next();
      var thrown = assertThrows(StatusRuntimeException.class, events::hasNext);
      assertEquals(Status.Code.DATA_LOSS, thrown.getStatus().getCode());
      TriviumException error = TriviumException.from(thrown).orElseThrow();
      assertEquals(ErrorKind.TRUNCATED_STREAM, error.kind().orElseThrow());
    }
  }

  @Test
  void stubsDeadlineHolds() {
    try (ScriptedServer server = counting(hangs());
        TriviumClient client = server.client()) {
      var stub =
          TextGenerationServiceGrpc.newBlockingStub(client.channel())
              .withDeadlineAfter(200, TimeUnit.MILLISECONDS);
      var thrown = assertThrows(StatusRuntimeException.class, () -> stub.countTokens(REQUEST));
      assertEquals(Status.Code.DEADLINE_EXCEEDED, thrown.getStatus().getCode());
      TriviumException error = TriviumException.from(thrown).orElseThrow();
      assertTrue(error.kind().isEmpty());
      assertEquals("the deadline of the call passed", error.message());
    }
  }

  @Test
  void streamOfStubHasAnIdleLimit() {
    try (ScriptedServer server = generating(hangs(delta(0, "Good")), replies(completed(0)));
        TriviumClient client =
            TriviumClient.builder()
                .target(server.target())
                .idleTimeout(Duration.ofSeconds(1))
                .build()) {
      Iterator<?> events =
          TextGenerationServiceGrpc.newBlockingStub(client.channel())
              .streamGenerate(StreamGenerateRequest.getDefaultInstance());
      events.next();
      var thrown = assertThrows(StatusRuntimeException.class, events::hasNext);
      TriviumException error = TriviumException.from(thrown).orElseThrow();
      assertEquals(ErrorKind.STREAM_IDLE_TIMEOUT, error.kind().orElseThrow());
      assertEquals(1, server.numCalls());
    }
  }

  @Test
  void cancelledContextEndsTheWaitForTheNextAttempt() throws Exception {
    Duration wait = Duration.ofSeconds(10);
    try (ScriptedServer server = counting(fails(Status.Code.UNAVAILABLE));
        TriviumClient client =
            TriviumClient.builder()
                .target(server.target())
                .retry(new RetryPolicy(4, wait, wait, wait))
                .build();
        Context.CancellableContext context = Context.current().withCancellation()) {
      var beside = Executors.newSingleThreadExecutor();
      try {
        var answer = beside.submit(context.wrap(() -> client.text().countTokens(REQUEST)));
        while (server.numCalls() == 0) {
          TimeUnit.MILLISECONDS.sleep(5);
        }
        TimeUnit.MILLISECONDS.sleep(200);
        context.cancel(null);
        var thrown = assertThrows(ExecutionException.class, () -> answer.get(2, TimeUnit.SECONDS));
        TriviumException error = TriviumException.from(thrown).orElseThrow();
        assertEquals(ErrorKind.CANCELLED, error.kind().orElseThrow());
      } finally {
        beside.shutdownNow();
      }
    }
  }
}
