#include "event_rules.h"

#include "trivium/v1/models.pb.h"

namespace trivium::detail {
namespace {

bool HasReadyModel(const google::protobuf::Message& event) {
  const auto* field = event.GetDescriptor()->FindFieldByName("model");
  if (field == nullptr || !event.GetReflection()->HasField(event, field)) return false;
  const auto* model = dynamic_cast<const v1::Model*>(&event.GetReflection()->GetMessage(event, field));
  return model != nullptr && model->state() == v1::MODEL_STATE_READY;
}

}  // namespace

std::optional<std::string> EventRules::Take(const google::protobuf::Message& event) {
  if (ending_ == Ending::kCallerOnly) return std::nullopt;
  if (ending_ == Ending::kReadyModel) {
    is_complete_ = HasReadyModel(event);
    return std::nullopt;
  }
  const auto* descriptor = event.GetDescriptor();
  if (const auto* field = descriptor->FindFieldByName("sequence")) {
    const std::int64_t sequence = event.GetReflection()->GetInt64(event, field);
    if (sequence != next_sequence_)
      return "event " + std::to_string(next_sequence_) + " of the stream is missing; " + std::to_string(sequence) +
             " came";
    ++next_sequence_;
  }
  const auto* completed = descriptor->FindFieldByName("completed");
  if (completed != nullptr && event.GetReflection()->HasField(event, completed)) is_complete_ = true;
  return std::nullopt;
}

}  // namespace trivium::detail
