package trivium.client;

import io.grpc.Metadata;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;

/** The metadata that a caller adds to calls: what gRPC can carry, and what the SDK keeps. */
final class MetadataRules {
  private static final Map<String, String> OWN_KEYS =
      Map.of(
          "x-request-id", "set the request id of the call instead",
          "authorization", "give the token to the client instead",
          "trivium-client", "it names the client itself",
          "user-agent", "gRPC's channel builder has userAgent for it",
          "content-type", "gRPC sets it",
          "te", "gRPC sets it");
  private static final Pattern KEY = Pattern.compile("[a-z0-9_.-]+");
  private static final Pattern TEXT = Pattern.compile("[\\x20-\\x7e]*");
  private static final Pattern TOKEN = Pattern.compile("[\\x21-\\x7e]+");
  private static final Pattern REQUEST_ID = Pattern.compile("[A-Za-z0-9._:/+=@-]{1,128}");

  private MetadataRules() {}

  /** Puts a text under a key; IllegalArgumentException where that cannot be sent. */
  static void put(Metadata metadata, String key, String value) {
    String name = checkedKey(key);
    if (name.endsWith(Metadata.BINARY_HEADER_SUFFIX)) {
      throw new IllegalArgumentException(
          "metadata \"" + key + "\" is text; a key that ends in -bin has bytes");
    }
    if (!TEXT.matcher(value).matches()) {
      throw new IllegalArgumentException(
          "the metadata value of \""
              + key
              + "\" is not printable ASCII; bytes go under a key that ends in -bin");
    }
    Metadata.Key<String> text = Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
    metadata.discardAll(text);
    metadata.put(text, value);
  }

  /** Puts bytes under a key that ends in -bin; IllegalArgumentException for another key. */
  static void put(Metadata metadata, String key, byte[] value) {
    String name = checkedKey(key);
    if (!name.endsWith(Metadata.BINARY_HEADER_SUFFIX)) {
      throw new IllegalArgumentException(
          "metadata \"" + key + "\" is bytes; only a key that ends in -bin has bytes");
    }
    Metadata.Key<byte[]> bytes = Metadata.Key.of(name, Metadata.BINARY_BYTE_MARSHALLER);
    metadata.discardAll(bytes);
    metadata.put(bytes, value.clone());
  }

  private static String checkedKey(String key) {
    String name = key.toLowerCase(Locale.ROOT);
    String instead = OWN_KEYS.get(name);
    if (instead != null) {
      throw new IllegalArgumentException(
          "metadata has \"" + key + "\", which the client sets itself: " + instead);
    }
    if (name.startsWith("grpc-")) {
      throw new IllegalArgumentException(
          "metadata has \"" + key + "\"; keys that begin with grpc- are gRPC's own");
    }
    if (!KEY.matcher(name).matches()) {
      throw new IllegalArgumentException(
          "metadata has \"" + key + "\"; a key is letters of ASCII, digits, '-', '_' and '.'");
    }
    return name;
  }

  /** Returns the id; IllegalArgumentException for one that the server would replace. */
  static String checkedRequestId(String id) {
    if (!REQUEST_ID.matcher(id).matches()) {
      throw new IllegalArgumentException(
          "the request id is \""
              + id
              + "\"; it is 1 to 128 characters of A-Z, a-z, 0-9 and . _ : / + = @ -");
    }
    return id;
  }

  /** Returns the token; IllegalArgumentException, without the token in it, for an unusable one. */
  static String checkedToken(String token) {
    if (!TOKEN.matcher(token).matches()) {
      throw new IllegalArgumentException(
          "the token is empty or has a character that is not printable ASCII, such as a blank");
    }
    return token;
  }

  /** Copies what is in `more` over what is in `base`: a key of `more` replaces that of `base`. */
  static void replaceAll(Metadata base, Metadata more) {
    for (String key : more.keys()) {
      if (key.endsWith(Metadata.BINARY_HEADER_SUFFIX)) {
        base.discardAll(Metadata.Key.of(key, Metadata.BINARY_BYTE_MARSHALLER));
      } else {
        base.discardAll(Metadata.Key.of(key, Metadata.ASCII_STRING_MARSHALLER));
      }
    }
    base.merge(more);
  }
}
