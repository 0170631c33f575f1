package trivium.readme;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable;
import org.junit.jupiter.api.io.TempDir;

/** Runs every snippet of the README, in its order, against the server at TRIVIUM_TARGET. */
@EnabledIfEnvironmentVariable(named = "TRIVIUM_TARGET", matches = ".+")
class ReadmeTest {
  private static final Pattern SNIPPET = Pattern.compile("```java\n(.*?)```", Pattern.DOTALL);

  @TempDir Path folder;

  @Test
  void everySnippetDoesWhatItSays() throws Exception {
    List<String> snippets =
        SNIPPET
            .matcher(Files.readString(Path.of("README.md")))
            .results()
            .map(found -> found.group(1))
            .toList();
    List<String> wanted =
        List.of(
            "(?s).*\\p{L}{3,}.*",
            "TriviumClient\\[models.example.test:443\\]\n",
            "there is no model no-such-model\n",
            "(?s)0\\.[5-9]\\d\n\\s*Good morning.*Good morning.*\\p{L}{2,}.*\n");
    assertEquals(wanted.size(), snippets.size(), "each snippet has its expectation");
    Programs.drawText(folder.resolve("page.png"), "Good morning");
    for (int i = 0; i < snippets.size(); i++) {
      Path source = Files.writeString(folder.resolve("Snippet.java"), program(snippets.get(i)));
      Programs.Result result = Programs.run(folder, source.toString());
      assertEquals(0, result.status(), result.output());
      assertTrue(result.output().matches(wanted.get(i)), result.output());
    }
  }

  /** Puts the statements of a snippet into a method, after its imports. */
  private static String program(String snippet) throws IOException {
    Matcher rest = Pattern.compile("(?s)((?:import [^\n]*\n)*)(.*)").matcher(snippet);
    if (!rest.matches()) {
      throw new IOException("the snippet cannot be read: " + snippet);
    }
    String statements = rest.group(2).lines().collect(Collectors.joining("\n    "));
    return rest.group(1)
        + "class Snippet {\n  public static void main(String[] arguments) throws Exception {\n    "
        + statements
        + "\n  }\n}\n";
  }
}
