#pragma once

#include <string>

#include "trivium/client.h"
#include "trivium/detail/group.h"
#include "trivium/prompts.h"
#include "trivium/v1/generation.pb.h"

namespace trivium {

// The text of a streamed answer while it is made: iterating it gives the pieces of candidate 0.
//
//     for (const std::string& piece : client.text().StreamText(Prompt(model, "Why is the sky blue?")))
//     std::cout << piece;
//
// Ends, throws and is used by threads as trivium::Stream.
class TextStream {
 public:
  using iterator = detail::ReadIterator<TextStream, std::string>;

  explicit TextStream(Stream<v1::StreamGenerateResponse> events) : events_(std::move(events)) {}

  // Waits for the next event and puts it into `event`; text() follows it. Returns false at the end.
  bool ReadEvent(v1::StreamGenerateResponse& event);

  // Waits for the next piece of text, never empty, and puts it into `piece`. Returns false at the end.
  bool Read(std::string& piece);

  // The text of candidate 0 so far; also after a failure.
  const std::string& text() const { return text_; }

  // What the call did: usage, timing, model. Empty before the end.
  const v1::CallInfo& info() const { return info_; }

  void Cancel() { events_.Cancel(); }
  const std::string& request_id() const { return events_.request_id(); }

  iterator begin() { return iterator(this); }
  iterator end() { return iterator(); }

 private:
  Stream<v1::StreamGenerateResponse> events_;
  std::string text_;
  v1::CallInfo info_;
};

// Generates text; see TextGenerationService in the contract for what each method does and fails with.
class TextClient : public detail::Group {
 public:
  using Group::Group;

  v1::GenerateResponse Generate(const v1::GenerateRequest& request, const CallOptions& options = {}) const {
    return Unary<v1::GenerateResponse>("/trivium.v1.TextGenerationService/Generate", request, options);
  }

  Stream<v1::StreamGenerateResponse> StreamGenerate(const v1::StreamGenerateRequest& request,
                                                    const CallOptions& options = {}) const {
    return ServerStream<v1::StreamGenerateResponse>("/trivium.v1.TextGenerationService/StreamGenerate", request,
                                                    options);
  }

  v1::CountTokensResponse CountTokens(const v1::CountTokensRequest& request, const CallOptions& options = {}) const {
    return Unary<v1::CountTokensResponse>("/trivium.v1.TextGenerationService/CountTokens", request, options);
  }

  // Generates the whole answer and returns the text of its first candidate.
  std::string Ask(const v1::GenerationInput& input, const CallOptions& options = {}) const;

  // Generates an answer and gives its text while it is made.
  TextStream StreamText(const v1::GenerationInput& input, const CallOptions& options = {}) const;
};

}  // namespace trivium
