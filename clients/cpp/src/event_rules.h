#pragma once

#include <google/protobuf/message.h>

#include <cstdint>
#include <optional>
#include <string>

#include "trivium/detail/call.h"

namespace trivium::detail {

// Follows the events of a stream: whether one is missing, and whether it is whole. Reads them by reflection,
// so that it knows no method.
class EventRules {
 public:
  explicit EventRules(Ending ending) : ending_(ending) {}

  // Takes the next event. Returns what is wrong with it, nothing where all is well.
  std::optional<std::string> Take(const google::protobuf::Message& event);

  // Whether the terminal event has come.
  bool is_complete() const { return is_complete_; }

 private:
  Ending ending_;
  bool is_complete_ = false;
  std::int64_t next_sequence_ = 0;
};

}  // namespace trivium::detail
