package trivium.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TargetTest {
  @ParameterizedTest
  @CsvSource({
    // given, address, encrypted by its scheme, local, balancer
    "127.0.0.1:50051, 127.0.0.1:50051, , true, pick_first",
    "localhost:1, localhost:1, , true, pick_first",
    "[::1]:1, [::1]:1, , true, pick_first",
    "10.0.0.1:1, 10.0.0.1:1, , false, pick_first",
    "models.test:443, models.test:443, , false, round_robin",
    "http://models.test:8080, models.test:8080, false, false, round_robin",
    "https://models.test, models.test:443, true, false, round_robin",
    "https://models.test:8443/, models.test:8443, true, false, round_robin",
    "https://[2001:db8::1], [2001:db8::1]:443, true, false, pick_first",
    "dns:///models.test:443, dns:///models.test:443, , false, round_robin",
    "dns:///127.0.0.1:1, dns:///127.0.0.1:1, , true, pick_first",
    "unix:///run/trivium.sock, unix:///run/trivium.sock, , true, pick_first",
  })
  void whatPeopleWrite(
      String given, String address, Boolean isEncrypted, boolean isLocal, String balancer) {
    Target target = Target.parse(given);
    assertEquals(address, target.address());
    assertEquals(isEncrypted, target.isEncrypted());
    assertEquals(isLocal, target.isLocal());
    assertEquals(balancer, target.balancer());
  }

  @ParameterizedTest
  @CsvSource({
    "'', is empty",
    "models.test, has no port",
    "models.test:, has no port",
    "http://models.test, has no port",
    "models.test:0, a port is 1 to 65535",
    "models.test:65536, a port is 1 to 65535",
    "2001:db8::1, without brackets",
    "https://models.test/v1, no place for it",
    "https://models.test?a=b, no place for it",
    "ftp://models.test:1, is not host:port",
    "a b:1, is not host:port",
    "user@models.test:1, user name or password",
    "https://user@models.test:1, user name or password",
  })
  void whatIsMissing(String given, String told) {
    var error = assertThrows(IllegalArgumentException.class, () -> Target.parse(given));
    assertTrue(error.getMessage().contains(told), error.getMessage());
  }

  @Test
  void urlAndTlsMustAgree() {
    TriviumClientBuilder plain = TriviumClient.builder().target("http://models.test:1").tls(true);
    assertThrows(IllegalArgumentException.class, plain::build);
    TriviumClientBuilder encrypted =
        TriviumClient.builder().target("https://models.test").tls(false);
    assertThrows(IllegalArgumentException.class, encrypted::build);
    TriviumClient.builder().target("https://models.test").tls(true).build().close();
  }
}
