package trivium.client;

import java.net.URI;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where a server is.
 *
 * @param address what gRPC takes
 * @param isEncrypted what a URL said about TLS; null where the target was no URL
 */
record Target(String address, Boolean isEncrypted) {
  static final String DEFAULT = "127.0.0.1:50051";
  private static final int DEFAULT_PORT = 50051;
  private static final int HTTPS_PORT = 443;

  private static final Pattern GRPC_SCHEME = Pattern.compile("(unix|dns|xds|google-c2p):.*");
  private static final Pattern HOST_AND_PORT =
      Pattern.compile("(?:\\[[0-9A-Fa-f:.%]+]|[^\\s:/\\[\\]@]+):(\\d{1,7})");
  private static final Pattern HOST_ALONE = Pattern.compile("(?:\\[[^\\]]*]|[^\\s:/\\[\\]@]+):?");
  private static final Pattern LOOPBACK = Pattern.compile("127(\\.\\d{1,3}){3}");
  private static final Pattern NUMBER = Pattern.compile("[\\d.]+|.*:.*");

  /** Returns $TRIVIUM_TARGET, else 127.0.0.1:50051. */
  static String ofEnvironment() {
    String target = System.getenv("TRIVIUM_TARGET");
    return target == null || target.isEmpty() ? DEFAULT : target;
  }

  /**
   * Reads host:port, http://host:port, https://host[:port], or a target with a scheme of gRPC's
   * own. IllegalArgumentException says what is missing.
   */
  static Target parse(String text) {
    if (text.isEmpty()) {
      throw new IllegalArgumentException(
          "target is empty; it is host:port, for example " + DEFAULT);
    }
    if (GRPC_SCHEME.matcher(text).matches()) {
      return new Target(text, null);
    }
    if (text.contains("@")) { // no error shows the password
      throw new IllegalArgumentException(
          "target has a user name or password, which have no place in it;"
              + " token is a setting of its own");
    }
    if (text.startsWith("http://") || text.startsWith("https://")) {
      return parseUrl(text);
    }
    checkHostAndPort(text, text);
    return new Target(text, null);
  }

  private static Target parseUrl(String text) {
    boolean isEncrypted = text.startsWith("https:");
    URI url;
    try {
      url = URI.create(text);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("target \"" + text + "\" is no URL: " + e.getMessage(), e);
    }
    String path = url.getRawPath() == null ? "" : url.getRawPath();
    if (!(path.isEmpty() || path.equals("/"))
        || url.getRawQuery() != null
        || url.getRawFragment() != null) {
      throw new IllegalArgumentException(
          "target has more than host and port; gRPC has no place for it");
    }
    String address = url.getRawAuthority() == null ? "" : url.getRawAuthority();
    if (isEncrypted && HOST_ALONE.matcher(address).matches() && !address.endsWith(":")) {
      address = address + ":" + HTTPS_PORT;
    }
    checkHostAndPort(address, text);
    return new Target(address, isEncrypted);
  }

  private static void checkHostAndPort(String address, String text) {
    Matcher found = HOST_AND_PORT.matcher(address);
    if (!found.matches()) {
      throw new IllegalArgumentException("target \"" + text + "\" " + whatIsMissing(address));
    }
    int port = Integer.parseInt(found.group(1));
    if (port < 1 || port > 65535) {
      throw new IllegalArgumentException(
          "target \"" + text + "\" has port " + port + "; a port is 1 to 65535");
    }
  }

  private static String whatIsMissing(String address) {
    String known = "a Trivium server listens on " + DEFAULT_PORT + " unless configured otherwise";
    if (HOST_ALONE.matcher(address).matches()) {
      return "has no port; " + known;
    }
    if (address.matches("[0-9A-Fa-f:.]+") && address.indexOf(':') != address.lastIndexOf(':')) {
      return "is an IPv6 address without brackets; write [address]:port; " + known;
    }
    return "is not host:port, for example " + DEFAULT;
  }

  /** Tells whether the target can only be this machine: a loopback address or a Unix socket. */
  boolean isLocal() {
    if (address.startsWith("unix:")) {
      return true;
    }
    String host = host();
    return host.equals("localhost") || host.equals("::1") || LOOPBACK.matcher(host).matches();
  }

  /** Returns gRPC's name of how to spread calls: round robin where a name may be many servers. */
  String balancer() {
    return isLocal() || NUMBER.matcher(host()).matches() ? "pick_first" : "round_robin";
  }

  private String host() {
    String bare = address.replaceFirst("^dns:(//[^/]*/)?", "");
    if (bare.startsWith("[") && bare.contains("]")) {
      return bare.substring(1, bare.indexOf(']'));
    }
    int colon = bare.indexOf(':');
    return colon < 0 || colon != bare.lastIndexOf(':') ? bare : bare.substring(0, colon);
  }
}
