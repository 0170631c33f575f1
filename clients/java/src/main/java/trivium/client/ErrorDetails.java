package trivium.client;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RequestInfo;
import com.google.rpc.RetryInfo;
import com.google.rpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.Map;

/** What google.rpc.Status says about an error. Of a malformed or foreign one: nothing. */
record ErrorDetails(
    String reason,
    Map<String, String> metadata,
    List<FieldViolation> fieldViolations,
    Duration retryAfter,
    String requestId) {
  private static final String DOMAIN = "trivium.v1";
  private static final ErrorDetails NONE = new ErrorDetails(null, Map.of(), List.of(), null, null);

  /** Reads the bytes of the trailing metadata; null is read as nothing. */
  static ErrorDetails parse(byte[] packed) {
    if (packed == null) {
      return NONE;
    }
    try {
      return of(Status.parseFrom(packed));
    } catch (InvalidProtocolBufferException e) {
      return NONE;
    }
  }

  /** Reads the details of a status; each that cannot be read is left out. */
  static ErrorDetails of(Status status) {
    ErrorDetails details = NONE;
    for (Any detail : status.getDetailsList()) {
      try {
        details = details.with(detail);
      } catch (InvalidProtocolBufferException e) {
        continue;
      }
    }
    return details;
  }

  private ErrorDetails with(Any detail) throws InvalidProtocolBufferException {
    if (detail.is(ErrorInfo.class)) {
      ErrorInfo info = detail.unpack(ErrorInfo.class);
      return info.getDomain().equals(DOMAIN)
          ? new ErrorDetails(
              info.getReason(), info.getMetadataMap(), fieldViolations, retryAfter, requestId)
          : this;
    }
    if (detail.is(BadRequest.class)) {
      List<FieldViolation> violations =
          detail.unpack(BadRequest.class).getFieldViolationsList().stream()
              .map(one -> new FieldViolation(one.getField(), one.getDescription()))
              .toList();
      return new ErrorDetails(reason, metadata, violations, retryAfter, requestId);
    }
    if (detail.is(RetryInfo.class)) {
      com.google.protobuf.Duration delay = detail.unpack(RetryInfo.class).getRetryDelay();
      Duration after = Duration.ofSeconds(delay.getSeconds(), delay.getNanos());
      return new ErrorDetails(reason, metadata, fieldViolations, after, requestId);
    }
    if (detail.is(RequestInfo.class)) {
      String id = detail.unpack(RequestInfo.class).getRequestId();
      return new ErrorDetails(
          reason, metadata, fieldViolations, retryAfter, id.isEmpty() ? requestId : id);
    }
    return this;
  }
}
