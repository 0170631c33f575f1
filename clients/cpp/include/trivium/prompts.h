#pragma once

#include <string>
#include <vector>

#include "trivium/v1/generation.pb.h"

// Short forms of what TextGenerationService generates from.
namespace trivium {

// A message of a conversation: of the person who asks, of the model, or of neither, with instructions to the
// model.
v1::ChatMessage User(std::string text);
v1::ChatMessage Assistant(std::string text);
v1::ChatMessage System(std::string text);

// A question to a model: a conversation of one message. Sampling may be set on what is returned.
v1::GenerationInput Prompt(std::string model, std::string text);

// A conversation so far, oldest message first.
v1::GenerationInput Chat(std::string model, const std::vector<v1::ChatMessage>& messages);

// Text to be continued as it is, without the model's chat template.
v1::GenerationInput Continuation(std::string model, std::string text);

// The text of a message: its parts together.
std::string TextOf(const v1::ChatMessage& message);

// The text of the first candidate of an answer; empty where nothing was generated.
std::string TextOf(const v1::GenerateResponse& response);

}  // namespace trivium
