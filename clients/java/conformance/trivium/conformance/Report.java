package trivium.conformance;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import com.google.protobuf.MessageLite;
import java.time.Duration;
import java.util.Base64;
import java.util.Locale;
import trivium.client.FieldViolation;
import trivium.client.TriviumException;

/** What a case came to. */
final class Report {
  private final JsonArray responses = new JsonArray();
  private JsonElement error = JsonNull.INSTANCE;
  private String text;
  private String requestId;
  private long begin = System.nanoTime();

  /** The call begins now. */
  void begin() {
    begin = System.nanoTime();
  }

  void requestId(String id) {
    requestId = id;
  }

  void text(String answer) {
    text = answer;
  }

  void response(MessageLite message) {
    responses.add(base64(message));
  }

  void failed(TriviumException thrown) {
    JsonObject told = new JsonObject();
    told.addProperty("kind", thrown.kind().map(kind -> lower(kind.name())).orElse(null));
    told.addProperty("code", thrown.code().name());
    told.addProperty("reason", thrown.reason().orElse(null));
    told.addProperty("message", thrown.message());
    JsonObject metadata = new JsonObject();
    thrown.metadata().forEach(metadata::addProperty);
    told.add("metadata", metadata);
    JsonArray violations = new JsonArray();
    for (FieldViolation violation : thrown.fieldViolations()) {
      JsonObject one = new JsonObject();
      one.addProperty("field", violation.field());
      one.addProperty("description", violation.description());
      violations.add(one);
    }
    told.add("field_violations", violations);
    told.addProperty("retry_after_s", thrown.retryAfter().map(Report::seconds).orElse(null));
    told.addProperty("request_id", thrown.requestId());
    told.addProperty("usage", thrown.usage().map(Report::text).orElse(null));
    error = told;
  }

  /** The SDK refused an argument, which is an exception of Java's own. */
  void refused(IllegalArgumentException thrown) {
    JsonObject told = new JsonObject();
    told.addProperty("kind", "invalid_call");
    told.addProperty("code", "INVALID_ARGUMENT");
    told.add("reason", JsonNull.INSTANCE);
    told.addProperty("message", thrown.getMessage());
    told.add("metadata", new JsonObject());
    told.add("field_violations", new JsonArray());
    told.add("retry_after_s", JsonNull.INSTANCE);
    told.add("request_id", JsonNull.INSTANCE);
    told.add("usage", JsonNull.INSTANCE);
    error = told;
  }

  JsonObject toJson(String name) {
    JsonObject all = new JsonObject();
    all.addProperty("case", name);
    all.addProperty("ok", error.isJsonNull());
    all.add("responses", responses);
    all.add("error", error);
    all.addProperty("text", text);
    all.addProperty("request_id", requestId);
    all.addProperty("elapsed_s", (System.nanoTime() - begin) / 1e9);
    return all;
  }

  private static JsonPrimitive base64(MessageLite message) {
    return new JsonPrimitive(text(message));
  }

  private static String text(MessageLite message) {
    return Base64.getEncoder().encodeToString(message.toByteArray());
  }

  private static String lower(String name) {
    return name.toLowerCase(Locale.ROOT);
  }

  private static double seconds(Duration duration) {
    return duration.toNanos() / 1e9;
  }
}
