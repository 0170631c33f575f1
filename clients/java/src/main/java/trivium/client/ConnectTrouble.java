package trivium.client;

import io.grpc.Status;
import java.io.FileNotFoundException;
import java.net.ConnectException;
import java.security.cert.CertificateException;
import java.util.function.Predicate;
import javax.net.ssl.SSLException;

/** Why a server could not be reached, read from what caused an UNAVAILABLE status. */
final class ConnectTrouble {
  private ConnectTrouble() {}

  /** Whether TLS could not be agreed on, which another attempt would meet again. */
  static boolean isLasting(Status status) {
    return has(status, cause -> cause instanceof SSLException && !isPassing(cause));
  }

  /** Of the netty within gRPC: a connection that closed, or was slow, in the handshake. */
  private static boolean isPassing(Throwable cause) {
    return isNamed(cause, "SslClosedEngineException")
        || isNamed(cause, "SslHandshakeTimeoutException");
  }

  /**
   * Says it in terms of the client's settings where that is known; else as gRPC and its cause do.
   */
  static String describe(Status status, Target target) {
    if (has(status, cause -> cause instanceof ConnectException)
        || has(status, cause -> cause instanceof FileNotFoundException)) { // of a Unix socket
      return "no server listens at " + target.address() + "; `trivium serve` starts one";
    }
    if (has(status, cause -> isNamed(cause, "NotSslRecordException"))) {
      return "the server does not speak TLS; connect to it with tls(false)";
    }
    Throwable certificate = find(status, cause -> cause instanceof CertificateException);
    if (certificate != null) {
      return "the server's certificate is not accepted ("
          + certificate.getMessage()
          + "); Tls has rootCertificates(pem) for the authority that signed it, and"
          + " serverName(name) for the name that it has";
    }
    // gRPC says "io exception" and lists its pipeline on further lines; the cause says how it
    // failed.
    String text = firstLine(status.getDescription(), status.getCode().name());
    Throwable cause = status.getCause();
    String more = cause == null ? "" : firstLine(cause.getMessage(), "");
    return more.isEmpty() || text.contains(more) ? text : text + ": " + more;
  }

  private static String firstLine(String text, String otherwise) {
    return text == null || text.isBlank() ? otherwise : text.lines().findFirst().orElse(otherwise);
  }

  private static boolean isNamed(Throwable cause, String name) {
    return cause.getClass().getSimpleName().equals(name);
  }

  private static boolean has(Status status, Predicate<Throwable> wanted) {
    return find(status, wanted) != null;
  }

  private static Throwable find(Status status, Predicate<Throwable> wanted) {
    Throwable cause = status.getCause();
    while (cause != null && !wanted.test(cause)) {
      cause = cause.getCause();
    }
    return cause;
  }
}
