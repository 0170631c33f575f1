import java.util.List;
import trivium.client.TriviumClient;
import trivium.client.TriviumException;
import trivium.client.Vectors;

/** Embeds texts and tells how close each is to the first. EmbedCompare [TEXT TEXT…] */
public final class EmbedCompare {
  private static final String MODEL = "all-minilm-l6-v2";

  private EmbedCompare() {}

  public static void main(String[] arguments) {
    if (arguments.length == 1) {
      System.err.println("usage: EmbedCompare [TEXT TEXT…]");
      System.exit(2);
    }
    List<String> texts =
        arguments.length > 0
            ? List.of(arguments)
            : List.of("A cat sleeps on the sofa.", "A kitten naps.", "Shares fell on Monday.");
    try (TriviumClient client = TriviumClient.create()) {
      List<float[]> vectors = client.embeddings().embed(MODEL, texts);
      for (int i = 1; i < texts.size(); i++) {
        double cosine = Vectors.cosine(vectors.get(0), vectors.get(i));
        System.out.printf("%6.3f  %s%n", cosine, texts.get(i));
      }
    } catch (IllegalArgumentException | TriviumException e) {
      System.err.println(e);
      System.exit(1);
    }
  }
}
