#include "trivium/text.h"

namespace trivium {

bool TextStream::ReadEvent(v1::StreamGenerateResponse& event) {
  if (!events_.Read(event)) return false;
  if (event.has_delta() && event.delta().candidate_index() == 0) text_ += event.delta().text();
  if (event.has_completed()) info_ = event.completed().info();
  return true;
}

bool TextStream::Read(std::string& piece) {
  v1::StreamGenerateResponse event;
  while (ReadEvent(event)) {
    if (!event.has_delta() || event.delta().candidate_index() != 0 || event.delta().text().empty()) continue;
    piece = std::move(*event.mutable_delta()->mutable_text());
    return true;
  }
  return false;
}

std::string TextClient::Ask(const v1::GenerationInput& input, const CallOptions& options) const {
  v1::GenerateRequest request;
  *request.mutable_input() = input;
  return TextOf(Generate(request, options));
}

TextStream TextClient::StreamText(const v1::GenerationInput& input, const CallOptions& options) const {
  v1::StreamGenerateRequest request;
  *request.mutable_input() = input;
  return TextStream(StreamGenerate(request, options));
}

}  // namespace trivium
