package trivium.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static trivium.client.ScriptedServer.completed;
import static trivium.client.ScriptedServer.delta;
import static trivium.client.ScriptedServer.generating;
import static trivium.client.ScriptedServer.hangs;
import static trivium.client.ScriptedServer.replies;

import io.grpc.Status;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import trivium.v1.EmbedConfig;
import trivium.v1.EmbedItem;
import trivium.v1.StreamEmbedRequest;
import trivium.v1.StreamGenerateResponse;

@Timeout(30)
class StreamTest {
  private static final CallSettings HASTY = CallSettings.DEFAULT.idleTimeout(Duration.ofSeconds(1));

  @Test
  void piecesAreTheText() {
    try (ScriptedServer server =
            generating(replies(delta(0, "Good "), delta(1, ""), delta(2, "day"), completed(3)));
        TriviumClient client = server.client();
        GenerationStream stream = client.text().streamGenerate("m", "Hello")) {
      List<String> pieces = new ArrayList<>();
      stream.pieces().forEach(pieces::add);
      assertEquals(List.of("Good ", "day"), pieces);
      assertEquals("Good day", stream.text());
      assertTrue(stream.info().isPresent());
      assertFalse(stream.hasNext());
    }
  }

  @Test
  void endWithoutTerminalEventIsTruncated() {
    assertTruncated(replies(delta(0, "Good")), 1);
  }

  @Test
  void gapIsTruncated() {
    assertTruncated(hangs(delta(0, "Go"), delta(2, "od")), 1);
  }

  @Test
  void firstEventThatIsNotTheFirstIsTruncated() {
    assertTruncated(hangs(delta(1, "Good")), 0);
  }

  private static void assertTruncated(
      ScriptedServer.Act<trivium.v1.StreamGenerateRequest, StreamGenerateResponse> act,
      int numMessages) {
    try (ScriptedServer server = generating(act);
        TriviumClient client = server.client();
        GenerationStream stream = client.text().streamGenerate("m", "Hello")) {
      for (int i = 0; i < numMessages; i++) {
        stream.next();
      }
      var error = assertThrows(TriviumException.class, stream::hasNext);
      assertEquals(ErrorKind.TRUNCATED_STREAM, error.kind().orElseThrow());
      assertEquals(Status.Code.DATA_LOSS, error.code());
      assertEquals(stream.requestId(), error.requestId());
      assertThrows(TriviumException.class, stream::hasNext, "a failed stream stays failed");
    }
  }

  @Test
  void silenceEndsTheStreamAtTheServerToo() throws Exception {
    try (ScriptedServer server = generating(hangs(delta(0, "Good")));
        TriviumClient client = server.client();
        GenerationStream stream = client.text().with(HASTY).streamGenerate("m", "Hello")) {
      var error = assertThrows(TriviumException.class, stream::readText);
      assertEquals(ErrorKind.STREAM_IDLE_TIMEOUT, error.kind().orElseThrow());
      assertEquals(Status.Code.DEADLINE_EXCEEDED, error.code());
      assertEquals("Good", stream.text());
      assertTrue(server.sawCancel());
    }
  }

  @Test
  void slowReaderIsNotSilence() throws Exception {
    int numEvents = 30;
    StreamGenerateResponse[] events = new StreamGenerateResponse[numEvents];
    for (int i = 0; i < numEvents; i++) {
      events[i] = i < numEvents - 1 ? delta(i, "a") : completed(i);
    }
    try (ScriptedServer server = generating(replies(events));
        TriviumClient client = server.client();
        GenerationStream stream = client.text().with(HASTY).streamGenerate("m", "Hello")) {
      stream.next();
      TimeUnit.MILLISECONDS.sleep(2500);
      assertEquals("a".repeat(numEvents - 1), stream.readText());
    }
  }

  @Test
  void closingCancelsAtTheServer() throws Exception {
    try (ScriptedServer server = generating(hangs(delta(0, "Good")));
        TriviumClient client = server.client()) {
      GenerationStream stream = client.text().streamGenerate("m", "Hello");
      stream.next();
      stream.close();
      assertTrue(server.sawCancel());
      var error = assertThrows(TriviumException.class, stream::hasNext);
      assertEquals(ErrorKind.CANCELLED, error.kind().orElseThrow());
    }
  }

  @Test
  void interruptedReaderCancelsAtTheServer() throws Exception {
    try (ScriptedServer server = generating(hangs(delta(0, "Good")));
        TriviumClient client = server.client();
        GenerationStream stream = client.text().streamGenerate("m", "Hello")) {
      stream.next();
      Thread.currentThread().interrupt();
      var error = assertThrows(TriviumException.class, stream::hasNext);
      assertTrue(Thread.interrupted(), "the thread stays interrupted");
      assertEquals(ErrorKind.CANCELLED, error.kind().orElseThrow());
      assertTrue(server.sawCancel());
    }
  }

  @Test
  void closingTheClientEndsItsStreams() {
    try (ScriptedServer server = generating(hangs(delta(0, "Good")));
        TriviumClient client = server.client();
        GenerationStream stream = client.text().streamGenerate("m", "Hello")) {
      stream.next();
      client.close();
      var error = assertThrows(TriviumException.class, stream::hasNext);
      assertEquals(ErrorKind.CANCELLED, error.kind().orElseThrow());
    }
  }

  @Test
  void requestsAndResponsesPassAtTheSameTime() {
    try (ScriptedServer server = ScriptedServer.embedding();
        TriviumClient client = server.client();
        var stream = client.embeddings().streamEmbed(EmbedConfig.getDefaultInstance())) {
      assertEquals(0, stream.next().getSequence());
      for (int i = 1; i <= 20; i++) {
        assertTrue(stream.send(items("Good morning.")));
        assertEquals(i, stream.next().getSequence());
      }
      stream.halfClose();
      assertThrows(IllegalStateException.class, () -> stream.send(items("late")));
      assertTrue(stream.next().hasCompleted());
      assertFalse(stream.hasNext());
    }
  }

  @Test
  void silenceOfAServerThatListensIsNoFailure() throws Exception {
    try (ScriptedServer server = ScriptedServer.embedding();
        TriviumClient client = server.client();
        var stream =
            client.embeddings().with(HASTY).streamEmbed(EmbedConfig.getDefaultInstance())) {
      stream.next();
      TimeUnit.MILLISECONDS.sleep(1500);
      stream.halfClose();
      assertTrue(stream.next().hasCompleted());
    }
  }

  @Test
  void senderIsToldThatTheCallIsOver() {
    try (ScriptedServer server = ScriptedServer.embedding();
        TriviumClient client = server.client();
        var stream = client.embeddings().streamEmbed(EmbedConfig.getDefaultInstance())) {
      stream.next();
      stream.close();
      while (stream.send(items("Good morning."))) {
        Thread.onSpinWait();
      }
    }
  }

  static StreamEmbedRequest items(String text) {
    StreamEmbedRequest.Builder request = StreamEmbedRequest.newBuilder();
    request.getItemsBuilder().addItems(EmbedItem.newBuilder().setText(text));
    return request.build();
  }
}
