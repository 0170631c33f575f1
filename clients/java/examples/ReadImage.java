import java.io.IOException;
import java.nio.file.Path;
import trivium.client.MediaFiles;
import trivium.client.TriviumClient;
import trivium.client.TriviumException;
import trivium.v1.TextLine;

/** Reads what is written in an image. ReadImage FILE */
public final class ReadImage {
  private static final String MODEL = "pp-ocrv6-small";

  private ReadImage() {}

  public static void main(String[] arguments) {
    if (arguments.length != 1) {
      System.err.println("usage: ReadImage FILE");
      System.exit(2);
    }
    try (TriviumClient client = TriviumClient.create()) {
      var text = client.vision().recognizeText(MODEL, MediaFiles.read(Path.of(arguments[0])));
      for (TextLine line : text.getLinesList()) {
        System.out.printf("%3.0f %%  %s%n", line.getScore() * 100, line.getText());
      }
    } catch (IOException | IllegalArgumentException | TriviumException e) {
      System.err.println(e);
      System.exit(1);
    }
  }
}
