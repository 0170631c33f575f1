import com.google.protobuf.Duration;
import java.io.IOException;
import java.nio.file.Path;
import trivium.client.TriviumClient;
import trivium.client.TriviumException;

/** Speaks a text into a WAV file. Speak TEXT FILE */
public final class Speak {
  private static final String MODEL = "hibari-heart";

  private Speak() {}

  public static void main(String[] arguments) {
    if (arguments.length != 2) {
      System.err.println("usage: Speak TEXT FILE");
      System.exit(2);
    }
    try (TriviumClient client = TriviumClient.create()) {
      var spoken = client.speech().speak(MODEL, arguments[0], Path.of(arguments[1]));
      Duration length = spoken.getAudioDuration();
      System.out.printf(
          "%s: %.1f s%n", arguments[1], length.getSeconds() + length.getNanos() / 1e9);
    } catch (IOException | IllegalArgumentException | TriviumException e) {
      System.err.println(e);
      System.exit(1);
    }
  }
}
