package trivium.client;

import java.util.stream.Collectors;
import trivium.v1.Candidate;
import trivium.v1.ContentPart;
import trivium.v1.GenerateResponse;

/** Reads the text of generated answers. */
public final class Answers {
  private Answers() {}

  /**
   * Returns the text of the first candidate.
   *
   * @param response an answer
   * @return its text, empty where nothing was generated
   */
  public static String text(GenerateResponse response) {
    return response.getCandidatesCount() == 0 ? "" : text(response.getCandidates(0));
  }

  /**
   * Returns the text of a candidate.
   *
   * @param candidate one answer
   * @return its text, empty where nothing was generated
   */
  public static String text(Candidate candidate) {
    return candidate.getMessage().getPartsList().stream()
        .map(ContentPart::getText)
        .collect(Collectors.joining());
  }
}
