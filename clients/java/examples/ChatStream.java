import trivium.client.GenerationStream;
import trivium.client.TriviumClient;
import trivium.client.TriviumException;

/** Prints an answer while it is made. ChatStream [PROMPT] */
public final class ChatStream {
  private static final String MODEL = "smollm2-135m-instruct";

  private ChatStream() {}

  public static void main(String[] arguments) {
    if (arguments.length > 1) {
      System.err.println("usage: ChatStream [PROMPT]");
      System.exit(2);
    }
    String prompt = arguments.length > 0 ? arguments[0] : "What is photosynthesis, in a sentence?";
    try (TriviumClient client = TriviumClient.create();
        GenerationStream answer = client.text().streamGenerate(MODEL, prompt)) {
      for (String piece : answer.pieces()) {
        System.out.print(piece);
        System.out.flush();
      }
      long numTokens = answer.info().orElseThrow().getUsage().getTokens().getOutputTokens();
      System.out.printf("%n%d tokens%n", numTokens);
    } catch (IllegalArgumentException | TriviumException e) {
      System.err.println(e);
      System.exit(1);
    }
  }
}
