import com.google.protobuf.Duration;
import java.io.IOException;
import java.nio.file.Path;
import trivium.client.TriviumClient;

/** Speaks a text into a WAV file. Speak FILE TEXT */
public final class Speak {
  private static final String MODEL = "hibari-heart";

  private Speak() {}

  public static void main(String[] arguments) throws IOException {
    if (arguments.length != 2) {
      System.err.println("usage: Speak FILE TEXT");
      System.exit(2);
    }
    try (TriviumClient client = TriviumClient.create()) {
      var spoken = client.speech().speak(MODEL, arguments[1], Path.of(arguments[0]));
      Duration length = spoken.getAudioDuration();
      System.out.printf(
          "%s: %.1f s%n", arguments[0], length.getSeconds() + length.getNanos() / 1e9);
    }
  }
}
