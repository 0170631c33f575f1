package trivium.client;

import com.google.protobuf.InvalidProtocolBufferException;
import io.grpc.Metadata;
import io.grpc.Status;
import java.util.List;
import trivium.v1.Usage;

/** Turns the status and the trailing metadata of a failed call into an exception. Thread-safe. */
final class FailureReader {
  private static final Metadata.Key<byte[]> DETAILS =
      Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);
  private static final Metadata.Key<byte[]> USAGE =
      Metadata.Key.of("trivium-usage-bin", Metadata.BINARY_BYTE_MARSHALLER);
  private static final Metadata.Key<String> PUSHBACK =
      Metadata.Key.of("grpc-retry-pushback-ms", Metadata.ASCII_STRING_MARSHALLER);

  /**
   * How gRPC words a call that its connection lost: measured of grpc-java; the last is a proxy's.
   */
  private static final List<String> RESET_MARKS =
      List.of(
          "RST_STREAM",
          "Abrupt GOAWAY",
          "Connection closed after GOAWAY",
          "http2 exception",
          "unexpected EOS",
          "Stream removed");

  private final Target target;

  FailureReader(Target target) {
    this.target = target;
  }

  /**
   * Maps a failed call.
   *
   * @param answerBegun whether a message of the answer had arrived
   */
  Failure read(Status status, Metadata trailers, String requestId, boolean answerBegun) {
    ErrorDetails details = ErrorDetails.parse(trailers.get(DETAILS));
    ErrorKind kind = null;
    if (details.reason() == null && isTransportLoss(status)) {
      kind = answerBegun ? ErrorKind.CONNECTION_LOST : ErrorKind.SERVER_UNAVAILABLE;
    }
    ErrorFacts facts =
        new ErrorFacts(
            status.getCode(),
            message(status, kind),
            details.reason(),
            kind,
            details.metadata(),
            details.fieldViolations(),
            details.retryAfter(),
            details.requestId() == null ? requestId : details.requestId(),
            usage(trailers.get(USAGE)),
            status.getCause());
    String pushback = trailers.get(PUSHBACK);
    return new Failure(
        ErrorTypes.exception(facts),
        pushback == null ? null : Attempts.Pushback.parse(pushback),
        kind != null && ConnectTrouble.isLasting(status));
  }

  private static boolean isTransportLoss(Status status) {
    return switch (status.getCode()) {
      case UNAVAILABLE -> true;
      case INTERNAL, UNKNOWN -> {
        String text = String.valueOf(status.getDescription());
        yield RESET_MARKS.stream().anyMatch(text::contains);
      }
      default -> false;
    };
  }

  private String message(Status status, ErrorKind kind) {
    if (kind != null) {
      return ConnectTrouble.describe(status, target);
    }
    String text = status.getDescription();
    return text == null || text.isEmpty() ? status.getCode().name() : text;
  }

  private static Usage usage(byte[] packed) {
    if (packed == null) {
      return null;
    }
    try {
      return Usage.parseFrom(packed);
    } catch (InvalidProtocolBufferException e) {
      return null; // what cannot be read never hides the status
    }
  }
}
