package trivium.client;

import io.grpc.ChannelCredentials;
import io.grpc.TlsChannelCredentials;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;

/**
 * Certificates of an encrypted connection, as PEM. Immutable: each method returns a copy with one
 * thing changed. A private key is PKCS #8 without a password.
 */
public final class Tls {
  private static final Tls SYSTEM = new Tls(null, null, null, null);

  private final String rootCertificates;
  private final String certificate;
  private final String privateKey;
  private final String serverName;

  private Tls(String rootCertificates, String certificate, String privateKey, String serverName) {
    this.rootCertificates = rootCertificates;
    this.certificate = certificate;
    this.privateKey = privateKey;
    this.serverName = serverName;
  }

  /**
   * Returns TLS as it is by default: the roots that Java trusts, and no client certificate.
   *
   * @return the settings to begin with
   */
  public static Tls systemRoots() {
    return SYSTEM;
  }

  /**
   * Trusts these authorities instead of Java's own.
   *
   * @param pem one or more certificates
   * @return a copy with these roots
   */
  public Tls rootCertificates(String pem) {
    return new Tls(pem, certificate, privateKey, serverName);
  }

  /**
   * Identifies this client to the server (mutual TLS).
   *
   * @param certificatePem the client's certificate, and those that lead to its root
   * @param privateKeyPem its private key
   * @return a copy with this identity
   */
  public Tls clientCertificate(String certificatePem, String privateKeyPem) {
    return new Tls(rootCertificates, certificatePem, privateKeyPem, serverName);
  }

  /**
   * Checks the server's certificate against another name than the target's.
   *
   * @param name the name that the certificate has
   * @return a copy with this name
   */
  public Tls serverName(String name) {
    return new Tls(rootCertificates, certificate, privateKey, name);
  }

  String serverName() {
    return serverName;
  }

  /** Returns what gRPC takes. IllegalArgumentException where a PEM cannot be read. */
  ChannelCredentials credentials() {
    TlsChannelCredentials.Builder builder = TlsChannelCredentials.newBuilder();
    try {
      if (rootCertificates != null) {
        builder.trustManager(stream(rootCertificates));
      }
      if (certificate != null) {
        builder.keyManager(stream(certificate), stream(privateKey));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return builder.build();
  }

  private static InputStream stream(String pem) {
    return new ByteArrayInputStream(pem.getBytes(StandardCharsets.UTF_8));
  }

  /** Names what is set, and no key. */
  @Override
  public String toString() {
    return "Tls[ownRoots=%s, clientCertificate=%s, serverName=%s]"
        .formatted(rootCertificates != null, certificate != null, serverName);
  }
}
