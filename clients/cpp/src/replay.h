#pragma once

#include <google/protobuf/message.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "trivium/v1/generation.pb.h"

namespace trivium::detail {

// Knows what of an answer was given, and takes from a further stream of it what is new. A stream that breaks
// goes on in another call with the same request, which makes the same answer anew; see "Resume" in
// docs/sdks.md. Pure.
class Replay {
 public:
  // What becomes of an event: it is given, or was given before, or shows that the stream is of another answer.
  enum class Verdict { kNew, kKnown, kDifferent };

  // Returns one for a request whose answer is the same again, nothing for any other.
  static std::optional<Replay> Of(const google::protobuf::Message& request);

  // Whether the stream at hand brought anything new; heartbeats do not count.
  bool has_progressed() const { return has_progressed_; }

  // The next event is the first one of another stream.
  void Restart();

  // Takes the next event, and what is known away of it. It is numbered as the event of one stream, so that one
  // that is missing leaves a gap.
  Verdict Take(google::protobuf::Message& message);

 private:
  // What was given of a candidate, and how much of that the stream at hand has still to bring.
  class Given {
   public:
    bool is_behind() const { return seen_size_ < known_size_; }
    void Restart();
    Verdict Trim(v1::ContentDelta& delta);
    Verdict Finish(const v1::CandidateFinished& finished);

   private:
    std::string text_;
    std::int64_t num_tokens_ = 0;
    std::optional<std::string> end_;  // serialized
    // Of text_, as long as it was at the last break: what the stream at hand brought of it, and its size.
    std::size_t seen_size_ = 0;
    std::size_t known_size_ = 0;
    std::int64_t num_tokens_owed_ = 0;
  };

  Verdict Judge(v1::StreamGenerateResponse& response);
  Verdict Start(const std::string& digest);
  bool is_behind() const;

  std::optional<std::string> digest_;
  std::map<int, Given> candidates_;
  std::int64_t num_given_ = 0;
  std::int64_t shift_ = 0;  // from the number of an event in the stream at hand to the caller's
  bool has_progressed_ = false;
  bool is_resumed_ = false;
};

}  // namespace trivium::detail
