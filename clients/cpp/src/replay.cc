#include "replay.h"

#include <algorithm>

namespace trivium::detail {

std::optional<Replay> Replay::Of(const google::protobuf::Message& request) {
  const auto* asked = dynamic_cast<const v1::StreamGenerateRequest*>(&request);
  if (asked == nullptr || asked->input().output().has_top_logprobs()) return std::nullopt;
  const v1::SamplingParameters& sampling = asked->input().sampling();
  const bool is_greedy = sampling.has_temperature() && sampling.temperature() == 0;
  return sampling.has_seed() || is_greedy ? std::optional(Replay()) : std::nullopt;
}

void Replay::Restart() {
  is_resumed_ = num_given_ > 0;
  has_progressed_ = false;
  shift_ = num_given_;
  for (auto& [index, candidate] : candidates_) candidate.Restart();
}

Replay::Verdict Replay::Take(google::protobuf::Message& message) {
  auto* response = dynamic_cast<v1::StreamGenerateResponse*>(&message);
  if (response == nullptr) return Verdict::kNew;
  const Verdict judged = Judge(*response);
  if (is_resumed_ && judged != Verdict::kNew) {  // whatever a first stream brings is new
    --shift_;
    return judged;
  }
  response->set_sequence(response->sequence() + shift_);
  ++num_given_;
  if (response->event_case() != v1::StreamGenerateResponse::EVENT_NOT_SET && !response->has_heartbeat())
    has_progressed_ = true;
  return Verdict::kNew;
}

Replay::Verdict Replay::Judge(v1::StreamGenerateResponse& response) {
  switch (response.event_case()) {
    case v1::StreamGenerateResponse::kStarted:
      return Start(response.started().model().digest());
    case v1::StreamGenerateResponse::kDelta:
      return candidates_[response.delta().candidate_index()].Trim(*response.mutable_delta());
    case v1::StreamGenerateResponse::kCandidateFinished:
      return candidates_[response.candidate_finished().candidate_index()].Finish(response.candidate_finished());
    case v1::StreamGenerateResponse::kCompleted:
      return is_behind() ? Verdict::kDifferent : Verdict::kNew;
    default:
      return is_behind() ? Verdict::kKnown : Verdict::kNew;
  }
}

Replay::Verdict Replay::Start(const std::string& digest) {
  if (!digest_) {
    digest_ = digest;
    return Verdict::kNew;
  }
  return *digest_ == digest ? Verdict::kKnown : Verdict::kDifferent;
}

bool Replay::is_behind() const {
  return std::any_of(candidates_.begin(), candidates_.end(),
                     [](const auto& entry) { return entry.second.is_behind(); });
}

void Replay::Given::Restart() {
  seen_size_ = 0;
  known_size_ = text_.size();
  num_tokens_owed_ = num_tokens_;
}

Replay::Verdict Replay::Given::Trim(v1::ContentDelta& delta) {
  const std::string& text = delta.text();
  const std::size_t size = std::min(text.size(), known_size_ - seen_size_);
  const bool is_past_end = end_ && text.size() > size;
  if (is_past_end || text_.compare(seen_size_, size, text, 0, size) != 0) return Verdict::kDifferent;
  const std::int64_t owed = std::min<std::int64_t>(delta.token_count(), num_tokens_owed_);
  const int tokens_known = static_cast<int>(std::max<std::int64_t>(owed, 0));
  const bool was_behind = is_behind() || tokens_known > 0;
  seen_size_ += size;
  num_tokens_owed_ -= tokens_known;
  if (was_behind) {
    delta.mutable_text()->erase(0, size);
    delta.set_token_count(delta.token_count() - tokens_known);
    auto& ids = *delta.mutable_token_ids();
    ids.erase(ids.begin(), ids.begin() + std::min(tokens_known, ids.size()));
    if (delta.text().empty() && delta.token_count() <= 0) return Verdict::kKnown;
  }
  text_ += delta.text();
  num_tokens_ += std::max(0, delta.token_count());
  return Verdict::kNew;
}

Replay::Verdict Replay::Given::Finish(const v1::CandidateFinished& finished) {
  if (is_behind()) return Verdict::kDifferent;
  const std::string end = finished.SerializeAsString();
  if (!end_) {
    end_ = end;
    return Verdict::kNew;
  }
  return *end_ == end ? Verdict::kKnown : Verdict::kDifferent;
}

}  // namespace trivium::detail
