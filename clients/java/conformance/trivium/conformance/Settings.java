package trivium.conformance;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.time.Duration;
import java.util.Base64;
import java.util.Map;
import trivium.client.CallSettings;
import trivium.client.RetryPolicy;
import trivium.client.Tls;
import trivium.client.TriviumClient;
import trivium.client.TriviumClientBuilder;

/** Makes what a case says about client and call into the SDK's settings. */
final class Settings {
  private Settings() {}

  static TriviumClient client(JsonObject given) {
    TriviumClientBuilder builder = TriviumClient.builder();
    builder.target(given.get("target").getAsString());
    if (given.has("token")) {
      builder.token(given.get("token").getAsString());
    }
    if (given.has("timeout_s")) {
      builder.timeout(seconds(given, "timeout_s"));
    }
    if (given.has("idle_timeout_s")) {
      builder.idleTimeout(seconds(given, "idle_timeout_s"));
    }
    if (given.has("max_attempts")) {
      builder.retry(RetryPolicy.DEFAULT.withMaxAttempts(given.get("max_attempts").getAsInt()));
    }
    for (Map.Entry<String, JsonElement> entry : object(given, "metadata").entrySet()) {
      if (isBinary(entry)) {
        builder.metadata(entry.getKey(), bytes(entry));
      } else {
        builder.metadata(entry.getKey(), entry.getValue().getAsString());
      }
    }
    if (given.has("tls") && given.get("tls").isJsonObject()) {
      builder.tls(tls(given.getAsJsonObject("tls")));
    } else if (given.has("tls")) {
      builder.tls(given.get("tls").getAsBoolean());
    }
    return builder.build();
  }

  private static Tls tls(JsonObject given) {
    Tls tls = Tls.systemRoots();
    if (given.has("root_certificates")) {
      tls = tls.rootCertificates(given.get("root_certificates").getAsString());
    }
    if (given.has("certificate")) {
      tls =
          tls.clientCertificate(
              given.get("certificate").getAsString(), given.get("private_key").getAsString());
    }
    if (given.has("server_name")) {
      tls = tls.serverName(given.get("server_name").getAsString());
    }
    return tls;
  }

  static CallSettings call(JsonObject given) {
    CallSettings settings = CallSettings.DEFAULT;
    if (given.has("timeout_s")) {
      settings = settings.timeout(seconds(given, "timeout_s"));
    }
    if (given.has("idle_timeout_s")) {
      settings = settings.idleTimeout(seconds(given, "idle_timeout_s"));
    }
    if (given.has("request_id")) {
      settings = settings.requestId(given.get("request_id").getAsString());
    }
    for (Map.Entry<String, JsonElement> entry : object(given, "metadata").entrySet()) {
      settings =
          isBinary(entry)
              ? settings.metadata(entry.getKey(), bytes(entry))
              : settings.metadata(entry.getKey(), entry.getValue().getAsString());
    }
    return settings;
  }

  static JsonObject object(JsonObject given, String key) {
    return given.has(key) ? given.getAsJsonObject(key) : new JsonObject();
  }

  static Duration seconds(JsonObject given, String key) {
    return Duration.ofNanos(Math.round(given.get(key).getAsDouble() * 1e9));
  }

  private static boolean isBinary(Map.Entry<String, JsonElement> entry) {
    return entry.getKey().endsWith("-bin");
  }

  private static byte[] bytes(Map.Entry<String, JsonElement> entry) {
    return Base64.getDecoder().decode(entry.getValue().getAsString());
  }
}
