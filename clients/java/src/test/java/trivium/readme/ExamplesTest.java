package trivium.readme;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable;
import org.junit.jupiter.api.io.TempDir;

/** Runs every example against the server at TRIVIUM_TARGET. */
@EnabledIfEnvironmentVariable(named = "TRIVIUM_TARGET", matches = ".+")
class ExamplesTest {
  @TempDir Path folder;

  @Test
  void chatStream() throws Exception {
    String output = run("ChatStream", "What is the capital of Japan?");
    assertTrue(output.matches("(?s).*Tokyo.*\\d+ tokens\n"), output);
  }

  @Test
  void embedCompare() throws Exception {
    String[] lines = run("EmbedCompare").split("\n");
    assertEquals(2, lines.length);
    double near = Double.parseDouble(lines[0].strip().split(" ")[0]);
    double far = Double.parseDouble(lines[1].strip().split(" ")[0]);
    assertTrue(near > far + 0.2, near + " and " + far);
  }

  @Test
  void readImage() throws Exception {
    Path page = Programs.drawText(folder.resolve("page.png"), "Good morning");
    String output = run("ReadImage", page.toString());
    assertTrue(output.matches("\\s*\\d+ %  Good morning\n"), output);
  }

  @Test
  void speakThenLiveTranscription() throws Exception {
    Path spoken = folder.resolve("spoken.wav");
    String output = run("Speak", "It was the best of times.", spoken.toString());
    assertTrue(output.matches("(?s).*spoken.wav: \\d\\.\\d s\n"), output);
    assertTrue(Files.size(spoken) > 10_000);
    for (String[] how : new String[][] {{"--fast", spoken.toString()}, {spoken.toString()}}) {
      String heard = run("LiveTranscription", how);
      assertTrue(heard.contains("= It was the best of times"), heard);
    }
  }

  private String run(String example, String... arguments) throws Exception {
    Programs.Result result = Programs.run(folder, example, arguments);
    assertEquals(0, result.status(), result.output());
    return result.output();
  }
}
