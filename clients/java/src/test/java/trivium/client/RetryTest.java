package trivium.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static trivium.client.ScriptedServer.completed;
import static trivium.client.ScriptedServer.counting;
import static trivium.client.ScriptedServer.countingOn;
import static trivium.client.ScriptedServer.delta;
import static trivium.client.ScriptedServer.fails;
import static trivium.client.ScriptedServer.generating;
import static trivium.client.ScriptedServer.replies;
import static trivium.client.ScriptedServer.tokens;

import io.grpc.Status;
import java.io.IOException;
import java.net.ServerSocket;
import java.time.Duration;
import java.util.concurrent.CancellationException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import trivium.v1.CountTokensRequest;

@Timeout(30)
class RetryTest {
  private static final CountTokensRequest REQUEST = CountTokensRequest.getDefaultInstance();

  @Test
  void unavailableIsSentAgainUnderTheSameId() {
    try (ScriptedServer server = counting(fails(Status.Code.UNAVAILABLE), replies(tokens(5)));
        TriviumClient client = server.client()) {
      assertEquals(5, client.text().countTokens(REQUEST).getTokenCount());
      assertEquals(2, server.numCalls());
      assertEquals(server.header(0, "x-request-id"), server.header(1, "x-request-id"));
    }
  }

  @Test
  void streamIsSentAgainBeforeItsFirstMessage() {
    try (ScriptedServer server =
            generating(
                fails(Status.Code.UNAVAILABLE), replies(delta(0, "Good morning."), completed(1)));
        TriviumClient client = server.client();
        GenerationStream stream = client.text().streamGenerate("m", "Hello")) {
      assertEquals("Good morning.", stream.readText());
      assertEquals(2, server.numCalls());
    }
  }

  @Test
  void streamIsNotSentAgainAfterItsFirstMessage() {
    try (ScriptedServer server =
            generating(
                (request, answer) -> {
                  answer.onNext(delta(0, "Good"));
                  answer.onError(Status.UNAVAILABLE.asRuntimeException());
                });
        TriviumClient client = server.client();
        GenerationStream stream = client.text().streamGenerate("m", "Hello")) {
      var error = assertThrows(TriviumException.class, stream::readText);
      assertEquals(ErrorKind.CONNECTION_LOST, error.kind().orElseThrow());
      assertEquals("Good", stream.text());
      assertEquals(1, server.numCalls());
    }
  }

  @Test
  void otherFailuresAreNotSentAgain() {
    try (ScriptedServer server = counting(fails(Status.Code.INTERNAL));
        TriviumClient client = server.client()) {
      assertThrows(TriviumException.class, () -> client.text().countTokens(REQUEST));
      assertEquals(1, server.numCalls());
    }
  }

  /** By itself gRPC waits a second and longer before it connects again. */
  @Test
  void serverThatComesBackIsFoundByTheNextAttempt() throws Exception {
    int port = freePort();
    RetryPolicy patient = RetryPolicy.DEFAULT.withMaxAttempts(20);
    try (TriviumClient client =
        TriviumClient.builder().target("127.0.0.1:" + port).retry(patient).build()) {
      var answer = client.text().countTokensAsync(REQUEST);
      TimeUnit.MILLISECONDS.sleep(500);
      assertFalse(answer.isDone());
      try (ScriptedServer server = countingOn(port, replies(tokens(5)))) {
        assertEquals(5, answer.await().getTokenCount());
        assertEquals(1, server.numCalls());
      }
    }
  }

  @Test
  void absentServerIsTold() throws Exception {
    try (TriviumClient client =
        TriviumClient.builder().target("127.0.0.1:" + freePort()).retry(RetryPolicy.NONE).build()) {
      var error = assertThrows(TriviumException.class, () -> client.text().countTokens(REQUEST));
      assertEquals(ErrorKind.SERVER_UNAVAILABLE, error.kind().orElseThrow());
      assertTrue(error.getMessage().contains("no server listens"), error.getMessage());
    }
  }

  @Test
  void cancellingEndsTheWaitForTheNextAttempt() throws Exception {
    try (ScriptedServer server = counting(fails(Status.Code.UNAVAILABLE));
        TriviumClient client = waiting(server)) {
      var answer = client.text().countTokensAsync(REQUEST);
      awaitCalls(server, 1);
      answer.cancel(true);
      assertThrows(CancellationException.class, () -> answer.get(1, TimeUnit.SECONDS));
      TimeUnit.MILLISECONDS.sleep(100);
      assertEquals(1, server.numCalls());
    }
  }

  @Test
  void closingTheClientEndsTheWaitForTheNextAttempt() throws Exception {
    try (ScriptedServer server = counting(fails(Status.Code.UNAVAILABLE));
        TriviumClient client = waiting(server)) {
      var answer = client.text().countTokensAsync(REQUEST);
      awaitCalls(server, 1);
      client.close();
      var error = assertThrows(TriviumException.class, answer::await);
      assertEquals(ErrorKind.CANCELLED, error.kind().orElseThrow());
    }
  }

  @Test
  void interruptEndsTheWaitForTheNextAttempt() throws Exception {
    try (ScriptedServer server = counting(fails(Status.Code.UNAVAILABLE));
        TriviumClient client = waiting(server)) {
      AtomicReference<TriviumException> error = new AtomicReference<>();
      AtomicBoolean isInterrupted = new AtomicBoolean();
      Thread caller =
          new Thread(
              () -> {
                var thrown =
                    assertThrows(TriviumException.class, () -> client.text().countTokens(REQUEST));
                isInterrupted.set(Thread.currentThread().isInterrupted());
                error.set(thrown);
              });
      caller.start();
      awaitCalls(server, 1);
      caller.interrupt();
      caller.join(TimeUnit.SECONDS.toMillis(2));
      assertEquals(ErrorKind.CANCELLED, error.get().kind().orElseThrow());
      assertTrue(isInterrupted.get(), "the thread stays interrupted");
    }
  }

  /** Waits ten seconds before each retry. */
  private static TriviumClient waiting(ScriptedServer server) {
    Duration wait = Duration.ofSeconds(10);
    RetryPolicy slow = new RetryPolicy(4, wait, wait, wait);
    return TriviumClient.builder().target(server.target()).retry(slow).build();
  }

  /** Waits until the calls have come, and a moment for their failure to be known. */
  private static void awaitCalls(ScriptedServer server, int number) throws InterruptedException {
    while (server.numCalls() < number) {
      TimeUnit.MILLISECONDS.sleep(5);
    }
    TimeUnit.MILLISECONDS.sleep(200);
  }

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0)) {
      return socket.getLocalPort();
    }
  }
}
