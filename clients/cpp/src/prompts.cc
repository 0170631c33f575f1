#include "trivium/prompts.h"

namespace trivium {
namespace {

v1::ChatMessage Message(v1::ChatRole role, std::string text) {
  v1::ChatMessage message;
  message.set_role(role);
  message.add_parts()->set_text(std::move(text));
  return message;
}

}  // namespace

v1::ChatMessage User(std::string text) { return Message(v1::CHAT_ROLE_USER, std::move(text)); }

v1::ChatMessage Assistant(std::string text) { return Message(v1::CHAT_ROLE_ASSISTANT, std::move(text)); }

v1::ChatMessage System(std::string text) { return Message(v1::CHAT_ROLE_SYSTEM, std::move(text)); }

v1::GenerationInput Prompt(std::string model, std::string text) {
  return Chat(std::move(model), {User(std::move(text))});
}

v1::GenerationInput Chat(std::string model, const std::vector<v1::ChatMessage>& messages) {
  v1::GenerationInput input;
  input.set_model(std::move(model));
  for (const auto& message : messages) *input.mutable_conversation()->add_messages() = message;
  return input;
}

v1::GenerationInput Continuation(std::string model, std::string text) {
  v1::GenerationInput input;
  input.set_model(std::move(model));
  input.set_text(std::move(text));
  return input;
}

std::string TextOf(const v1::ChatMessage& message) {
  std::string text;
  for (const auto& part : message.parts()) text += part.text();
  return text;
}

std::string TextOf(const v1::GenerateResponse& response) {
  return response.candidates().empty() ? "" : TextOf(response.candidates(0).message());
}

}  // namespace trivium
