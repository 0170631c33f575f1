package trivium.client;

import java.util.List;
import trivium.v1.ChatMessage;
import trivium.v1.ChatRole;
import trivium.v1.ContentPart;
import trivium.v1.Conversation;
import trivium.v1.GenerationInput;

/** Makes what text is generated from. */
public final class Prompts {
  private Prompts() {}

  /**
   * Makes a prompt of one message of the user.
   *
   * @param model the name of the model
   * @param text what the user says
   * @return the input; {@code toBuilder()} adds sampling parameters
   */
  public static GenerationInput user(String model, String text) {
    return conversation(model, List.of(userMessage(text)));
  }

  /**
   * Makes a prompt of a conversation.
   *
   * @param model the name of the model
   * @param messages oldest first; the last is the user's, or the beginning of the answer
   * @return the input
   */
  public static GenerationInput conversation(String model, List<ChatMessage> messages) {
    return GenerationInput.newBuilder()
        .setModel(model)
        .setConversation(Conversation.newBuilder().addAllMessages(messages))
        .build();
  }

  /**
   * Makes a prompt of plain text that is to be continued, without a chat template.
   *
   * @param model the name of the model
   * @param text the text, not empty
   * @return the input
   */
  public static GenerationInput continuation(String model, String text) {
    return GenerationInput.newBuilder().setModel(model).setText(text).build();
  }

  /**
   * Makes a message of instructions. Only as the first of a conversation.
   *
   * @param text the instructions
   * @return the message
   */
  public static ChatMessage systemMessage(String text) {
    return message(ChatRole.CHAT_ROLE_SYSTEM, text);
  }

  /**
   * Makes a message of the person or program that asks.
   *
   * @param text what is said
   * @return the message
   */
  public static ChatMessage userMessage(String text) {
    return message(ChatRole.CHAT_ROLE_USER, text);
  }

  /**
   * Makes a message of the model.
   *
   * @param text what the model said
   * @return the message
   */
  public static ChatMessage assistantMessage(String text) {
    return message(ChatRole.CHAT_ROLE_ASSISTANT, text);
  }

  private static ChatMessage message(ChatRole role, String text) {
    return ChatMessage.newBuilder()
        .setRole(role)
        .addParts(ContentPart.newBuilder().setText(text))
        .build();
  }
}
