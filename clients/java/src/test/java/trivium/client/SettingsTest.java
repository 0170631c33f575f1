package trivium.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Metadata;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SettingsTest {
  @ParameterizedTest
  @ValueSource(
      strings = {
        "authorization",
        "X-Request-ID",
        "trivium-client",
        "user-agent",
        "content-type",
        "te",
        "grpc-timeout",
        "Grpc-Anything",
        "",
        "with blank",
        "key:",
        "ü",
        "text-bin",
      })
  void keysThatAreNotTheCallers(String key) {
    assertThrows(IllegalArgumentException.class, () -> CallSettings.DEFAULT.metadata(key, "value"));
    assertThrows(
        IllegalArgumentException.class, () -> TriviumClient.builder().metadata(key, "value"));
  }

  @Test
  void bytesGoUnderBinaryKeysOnly() {
    byte[] bytes = {0, -1, 10};
    Metadata.Key<byte[]> key = Metadata.Key.of("k-bin", Metadata.BINARY_BYTE_MARSHALLER);
    Metadata metadata = CallSettings.DEFAULT.metadata("K-Bin", bytes).metadata();
    assertArrayEquals(bytes, metadata.get(key));
    assertThrows(IllegalArgumentException.class, () -> CallSettings.DEFAULT.metadata("k", bytes));
    assertThrows(
        IllegalArgumentException.class, () -> CallSettings.DEFAULT.metadata("k", "line\nbreak"));
  }

  @Test
  void settingsOfACallAreNotChangedByTheirCopies() {
    CallSettings first = CallSettings.DEFAULT.metadata("k", "1");
    CallSettings second = first.metadata("K", "2");
    Metadata.Key<String> key = Metadata.Key.of("k", Metadata.ASCII_STRING_MARSHALLER);
    assertEquals("1", first.metadata().get(key));
    assertEquals("2", second.metadata().get(key));
    assertTrue(CallSettings.DEFAULT.metadata().keys().isEmpty());
  }

  @Test
  void requestIdsThatTheServerWouldReplace() {
    assertEquals("a".repeat(128), CallSettings.DEFAULT.requestId("a".repeat(128)).requestId());
    for (String id : new String[] {"", "a".repeat(129), "a b", "ä"}) {
      assertThrows(IllegalArgumentException.class, () -> CallSettings.DEFAULT.requestId(id));
    }
  }

  @Test
  void limitsAreMoreThanNothing() {
    for (Duration limit : new Duration[] {Duration.ZERO, Duration.ofSeconds(-1)}) {
      assertThrows(IllegalArgumentException.class, () -> CallSettings.DEFAULT.timeout(limit));
      assertThrows(IllegalArgumentException.class, () -> CallSettings.DEFAULT.idleTimeout(limit));
    }
    assertThrows(IllegalArgumentException.class, () -> RetryPolicy.DEFAULT.withMaxAttempts(0));
  }

  @Test
  void certificatesThatCannotBeReadAreRefusedAtOnce() {
    TriviumClientBuilder builder =
        TriviumClient.builder()
            .target("models.test:1")
            .tls(Tls.systemRoots().clientCertificate("no certificate", "no key"));
    assertThrows(IllegalArgumentException.class, builder::build);
  }

  @Test
  void versionIsThatOfThePackage() throws Exception {
    String pom = Files.readString(Path.of("pom.xml"));
    assertTrue(
        pom.contains("<version>" + ClientSettings.VERSION + "</version>\n  <name>"),
        "ClientSettings.VERSION is not the version in pom.xml");
  }
}
