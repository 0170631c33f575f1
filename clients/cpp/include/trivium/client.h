#pragma once

#include <memory>

#include "trivium/error.h"
#include "trivium/options.h"

namespace trivium {
namespace detail {
class Connection;
}

class AdminClient;
class AnalysisClient;
class EmbeddingClient;
class HealthClient;
class ModelClient;
class SpeechClient;
class TextClient;
class VisionClient;

// A client of a Trivium server. It connects at its first call, and is made once for many calls: it is safe to
// use from several threads.
//
// Each group of methods has a header of its own, `trivium/text.h` for text() and so on, which who calls it
// includes; `trivium/trivium.h` includes all. Calls throw Error.
class Client {
 public:
  // Throws Error of kind kInvalidCall for options that cannot be. Sends nothing.
  explicit Client(const ClientOptions& options = {});
  // As Close.
  ~Client();
  // A client that was moved from makes no calls any more.
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  // Ends all calls: those that run, and those to come, fail with Error::Kind::kCancelled. May be called more
  // than once, from any thread.
  void Close();

  // Generates text. trivium/text.h
  TextClient text() const;
  // Turns texts into vectors, ranks and compares them. trivium/embeddings.h
  EmbeddingClient embeddings() const;
  // Classifies texts, finds names and languages in them. trivium/analysis.h
  AnalysisClient analysis() const;
  // Looks at images. trivium/vision.h
  VisionClient vision() const;
  // Transcribes and speaks. trivium/speech.h
  SpeechClient speech() const;
  // Tells which models there are. trivium/models.h
  ModelClient models() const;
  // Operates the server. trivium/admin.h
  AdminClient admin() const;
  // Asks whether the server takes calls. trivium/health.h
  HealthClient health() const;

 private:
  std::shared_ptr<detail::Connection> connection_;
};

}  // namespace trivium
