package trivium.conformance;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/** Does the cases of tests/conformance: one JSON object a line from standard input, one out. */
public final class Runner {
  private Runner() {}

  /** Goes on until the end of standard input. */
  public static void main(String[] arguments) throws IOException {
    Gson json = new GsonBuilder().serializeNulls().disableHtmlEscaping().create();
    var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    var out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      JsonObject given = JsonParser.parseString(line).getAsJsonObject();
      out.println(json.toJson(answer(given)));
    }
  }

  private static JsonObject answer(JsonObject given) {
    Report report = new Report();
    try {
      new Case(given, report).run();
    } catch (IllegalArgumentException e) {
      report.refused(e);
    }
    return report.toJson(given.get("case").getAsString());
  }
}
