package trivium.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RequestInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Metadata;
import io.grpc.Status;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeoutException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import trivium.v1.CountTokensRequest;
import trivium.v1.ErrorReason;
import trivium.v1.GenerationInput;
import trivium.v1.Usage;

class ErrorsTest {
  private static final FailureReader READER = new FailureReader(Target.parse("127.0.0.1:1"));

  @Test
  void allDetailsAreTold() {
    Metadata trailers =
        trailers(
            info("trivium.v1", "MODEL_NOT_FOUND"),
            BadRequest.newBuilder()
                .addFieldViolations(
                    BadRequest.FieldViolation.newBuilder().setField("f").setDescription("d"))
                .build(),
            RetryInfo.newBuilder()
                .setRetryDelay(
                    com.google.protobuf.Duration.newBuilder().setSeconds(1).setNanos(500_000_000))
                .build(),
            RequestInfo.newBuilder().setRequestId("of-the-server").build());
    Usage usage = Usage.newBuilder().setInputCharacters(7).build();
    trailers.put(
        Metadata.Key.of("trivium-usage-bin", Metadata.BINARY_BYTE_MARSHALLER), usage.toByteArray());
    TriviumException error = read(Status.NOT_FOUND.withDescription("no such model"), trailers);
    assertInstanceOf(ModelNotFoundException.class, error);
    assertEquals(Status.Code.NOT_FOUND, error.code());
    assertEquals("no such model", error.message());
    assertEquals("no such model (MODEL_NOT_FOUND, request of-the-server)", error.getMessage());
    assertEquals(Optional.empty(), error.kind());
    assertEquals(Map.of("model", "m"), error.metadata());
    assertEquals(List.of(new FieldViolation("f", "d")), error.fieldViolations());
    assertEquals(Duration.ofMillis(1500), error.retryAfter().orElseThrow());
    assertEquals("of-the-server", error.requestId());
    assertEquals(usage, error.usage().orElseThrow());
  }

  @Test
  void unreadableDetailsNeverHideTheStatus() {
    Any broken =
        Any.newBuilder()
            .setTypeUrl("type.googleapis.com/google.rpc.BadRequest")
            .setValue(ByteString.copyFromUtf8("\377"))
            .build();
    Metadata some = new Metadata();
    some.put(details(), status(broken, Any.pack(info("trivium.v1", "QUEUE_FULL"))).toByteArray());
    assertInstanceOf(QueueFullException.class, read(Status.RESOURCE_EXHAUSTED, some));
    Metadata none = new Metadata();
    none.put(details(), new byte[] {-1, -1});
    TriviumException error = read(Status.RESOURCE_EXHAUSTED, none);
    assertEquals(Status.Code.RESOURCE_EXHAUSTED, error.code());
    assertEquals("sent", error.requestId());
    assertTrue(error.getMessage().endsWith(" (RESOURCE_EXHAUSTED, request sent)"));
  }

  @Test
  void foreignErrorInfoDoesNotCount() {
    TriviumException error =
        read(Status.UNAVAILABLE, trailers(info("example.test", "MODEL_NOT_FOUND")));
    assertEquals(Optional.empty(), error.reason());
    assertEquals(Map.of(), error.metadata());
    assertEquals(ErrorKind.SERVER_UNAVAILABLE, error.kind().orElseThrow());
  }

  @Test
  void unknownReasonIsKeptAsText() {
    TriviumException error = read(Status.ABORTED, trailers(info("trivium.v1", "OF_TOMORROW")));
    assertSame(TriviumException.class, error.getClass());
    assertEquals("OF_TOMORROW", error.reason().orElseThrow());
  }

  @ParameterizedTest
  @EnumSource(
      value = ErrorReason.class,
      mode = EnumSource.Mode.EXCLUDE,
      names = {"ERROR_REASON_UNSPECIFIED", "UNRECOGNIZED"})
  void everyReasonHasItsException(ErrorReason reason) {
    String name = reason.name().substring("ERROR_REASON_".length());
    TriviumException error = read(Status.ABORTED, trailers(info("trivium.v1", name)));
    String type = error.getClass().getSimpleName();
    assertEquals(name.replace("_", "") + "EXCEPTION", type.toUpperCase(java.util.Locale.ROOT));
  }

  @ParameterizedTest
  @CsvSource({
    "UNAVAILABLE, anything, true",
    "INTERNAL, RST_STREAM closed stream. HTTP/2 error code: INTERNAL_ERROR, true",
    "INTERNAL, Received unexpected EOS on DATA frame from server., true",
    "UNKNOWN, Stream removed, true",
    "INTERNAL, internal error, false",
    "CANCELLED, RST_STREAM closed stream. HTTP/2 error code: CANCEL, false",
  })
  void lossOfTheConnection(Status.Code code, String message, boolean isLoss) {
    Status status = code.toStatus().withDescription(message);
    Optional<ErrorKind> before = isLoss ? Optional.of(ErrorKind.SERVER_UNAVAILABLE) : none();
    Optional<ErrorKind> after = isLoss ? Optional.of(ErrorKind.CONNECTION_LOST) : none();
    assertEquals(before, READER.read(status, new Metadata(), "", false).error().kind());
    assertEquals(after, READER.read(status, new Metadata(), "", true).error().kind());
  }

  @Test
  void statusOfAnItemIsAnException() {
    com.google.rpc.Status status =
        com.google.rpc.Status.newBuilder()
            .setCode(Status.Code.INVALID_ARGUMENT.value())
            .setMessage("text: is empty")
            .addDetails(Any.pack(info("trivium.v1", "INPUT_TOO_LONG")))
            .build();
    TriviumException error = TriviumException.of(status, "id-1");
    assertInstanceOf(InputTooLongException.class, error);
    assertEquals(Status.Code.INVALID_ARGUMENT, error.code());
    assertEquals("id-1", error.requestId());
  }

  @Test
  void requestOverTheLimitIsNotSent() {
    try (ScriptedServer server = ScriptedServer.counting(ScriptedServer.fails(Status.Code.OK));
        TriviumClient client =
            TriviumClient.builder().target(server.target()).maxMessageBytes(1000).build()) {
      CountTokensRequest request =
          CountTokensRequest.newBuilder()
              .setInput(GenerationInput.newBuilder().setText("a".repeat(1000)))
              .build();
      var error =
          assertThrows(InputTooLargeException.class, () -> client.text().countTokens(request));
      assertEquals(ErrorKind.INVALID_CALL, error.kind().orElseThrow());
      assertEquals("1000", error.metadata().get("limit"));
      assertEquals(0, server.numCalls());
    }
  }

  @Test
  void deadlineThatPassesIsToldInTheTermsOfTheClient() {
    try (ScriptedServer server = ScriptedServer.counting(ScriptedServer.hangs());
        TriviumClient client =
            TriviumClient.builder()
                .target(server.target())
                .timeout(Duration.ofMillis(200))
                .build()) {
      var request = CountTokensRequest.getDefaultInstance();
      var error = assertThrows(TriviumException.class, () -> client.text().countTokens(request));
      assertEquals("the deadline of the call passed after 0.2 s", error.message());
      assertEquals(Status.Code.DEADLINE_EXCEEDED, error.code());
      assertInstanceOf(TimeoutException.class, error.getCause());
    }
  }

  @Test
  void serverWithoutTlsIsTold() {
    try (ScriptedServer server = ScriptedServer.counting(ScriptedServer.fails(Status.Code.OK));
        TriviumClient client = TriviumClient.builder().target(server.target()).tls(true).build()) {
      var error =
          assertThrows(
              TriviumException.class,
              () -> client.text().countTokens(CountTokensRequest.getDefaultInstance()));
      assertEquals("the server does not speak TLS; connect to it with tls(false)", error.message());
      assertEquals(ErrorKind.SERVER_UNAVAILABLE, error.kind().orElseThrow());
    }
  }

  @Test
  void exceptionIsSerializable() throws Exception {
    TriviumException error = read(Status.ABORTED, trailers(info("trivium.v1", "CALL_ABORTED")));
    var bytes = new ByteArrayOutputStream();
    try (var out = new ObjectOutputStream(bytes)) {
      out.writeObject(error);
    }
    try (var in = new ObjectInputStream(new ByteArrayInputStream(bytes.toByteArray()))) {
      var copy = assertInstanceOf(CallAbortedException.class, in.readObject());
      assertEquals(error.reason(), copy.reason());
      assertEquals(error.metadata(), copy.metadata());
    }
  }

  @Test
  void tokenIsNowhereToBeSeen() {
    var error =
        assertThrows(
            IllegalArgumentException.class, () -> TriviumClient.builder().token("sec ret"));
    assertTrue(!error.getMessage().contains("sec"), error.getMessage());
    try (TriviumClient client =
        TriviumClient.builder().target("127.0.0.1:1").token("secret").build()) {
      assertEquals("TriviumClient[127.0.0.1:1]", client.toString());
    }
  }

  private static Optional<ErrorKind> none() {
    return Optional.empty();
  }

  private static TriviumException read(Status status, Metadata trailers) {
    return READER.read(status, trailers, "sent", false).error();
  }

  private static ErrorInfo info(String domain, String reason) {
    return ErrorInfo.newBuilder()
        .setDomain(domain)
        .setReason(reason)
        .putMetadata("model", "m")
        .build();
  }

  private static Metadata trailers(Message... messages) {
    Metadata trailers = new Metadata();
    Any[] packed = Arrays.stream(messages).map(Any::pack).toArray(Any[]::new);
    trailers.put(details(), status(packed).toByteArray());
    return trailers;
  }

  private static com.google.rpc.Status status(Any... packed) {
    return com.google.rpc.Status.newBuilder().addAllDetails(List.of(packed)).build();
  }

  private static Metadata.Key<byte[]> details() {
    return Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);
  }
}
