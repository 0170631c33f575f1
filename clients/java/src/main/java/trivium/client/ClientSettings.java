package trivium.client;

import io.grpc.Metadata;
import java.time.Duration;

/**
 * How a client talks to its server; see {@link TriviumClientBuilder} for what each means.
 *
 * @param metadata sent with every call, the token included; not to be changed
 */
record ClientSettings(
    Target target,
    Metadata metadata,
    Duration timeout,
    Duration idleTimeout,
    int maxMessageBytes,
    RetryPolicy retry) {
  static final String VERSION = "0.1.0";
  static final Metadata.Key<String> REQUEST_ID =
      Metadata.Key.of("x-request-id", Metadata.ASCII_STRING_MARSHALLER);

  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
  private static final Metadata.Key<String> CLIENT =
      Metadata.Key.of("trivium-client", Metadata.ASCII_STRING_MARSHALLER);

  /** Adds what names the client and, unless it is null, the token. */
  static Metadata withOwn(Metadata given, String token) {
    Metadata all = CallSettings.copy(given);
    String language = "java/" + Runtime.version().feature();
    all.put(CLIENT, "trivium-java/" + VERSION + " " + language);
    if (token != null) {
      all.put(AUTHORIZATION, "Bearer " + token);
    }
    return all;
  }

  /** Returns the metadata of one attempt. gRPC adds to it, so no two attempts share one. */
  Metadata requestMetadata(Metadata ofStub, CallSettings call, String requestId) {
    Metadata all = CallSettings.copy(metadata);
    MetadataRules.replaceAll(all, ofStub);
    MetadataRules.replaceAll(all, call.metadata());
    all.discardAll(REQUEST_ID);
    all.put(REQUEST_ID, requestId);
    return all;
  }
}
