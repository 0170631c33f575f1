#include "status.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace trivium::detail {
namespace {

constexpr std::string_view kErrorDomain = "trivium.v1";
constexpr const char* kUsageKey = "trivium-usage-bin";
constexpr const char* kPushbackKey = "grpc-retry-pushback-ms";

// How gRPC 1.51 words a connection, or a stream of it, that died under a call.
constexpr std::array kResetMarks = {"RST_STREAM", "Stream removed"};

// How it words that TLS could not be agreed on, in an UNAVAILABLE status. OpenSSL's own words, of which
// version 3 and BoringSSL differ in case.
constexpr std::array kTlsMarks = {"wrong version number", "certificate verify failed", "hostname verification",
                                  "peer name"};

// Of a delay that a server may ask for; what is longer overflows a clock, and is as good as for ever.
constexpr std::chrono::seconds kLongestDelay = std::chrono::hours(24 * 365 * 100);

template <class Marks>
bool HasAny(const std::string& text, const Marks& marks) {
  return std::any_of(marks.begin(), marks.end(),
                     [&](const char* mark) { return text.find(mark) != std::string::npos; });
}

std::string InLowerCase(std::string text) {
  for (char& c : text) {
    if (c == '_') c = ' ';
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

std::optional<std::string> Find(const Trailers& trailers, const char* key) {
  const auto found = trailers.find(key);
  if (found == trailers.end()) return std::nullopt;
  return std::string(found->second.data(), found->second.size());
}

void ReadDetail(const google::protobuf::Any& packed, Error::Details& details) {
  google::rpc::ErrorInfo info;
  google::rpc::BadRequest bad_request;
  google::rpc::RetryInfo retry;
  google::rpc::RequestInfo request;
  if (packed.UnpackTo(&info)) {
    if (info.domain() != kErrorDomain) return;
    details.reason = info.reason();
    details.metadata = {info.metadata().begin(), info.metadata().end()};
  } else if (packed.UnpackTo(&bad_request)) {
    for (const auto& violation : bad_request.field_violations())
      details.field_violations.push_back({violation.field(), violation.description()});
  } else if (packed.UnpackTo(&retry)) {
    const auto& delay = retry.retry_delay();
    const std::chrono::seconds whole(
        std::clamp<std::int64_t>(delay.seconds(), -kLongestDelay.count(), kLongestDelay.count()));
    details.retry_after = whole + std::chrono::nanoseconds(delay.nanos());
  } else if (packed.UnpackTo(&request) && !request.request_id().empty()) {
    details.request_id = request.request_id();
  }
}

void ReadDetails(const google::rpc::Status& status, Error::Details& details) {
  for (const auto& packed : status.details()) ReadDetail(packed, details);
}

std::optional<v1::Usage> ReadUsage(const Trailers& trailers) {
  v1::Usage usage;
  const auto packed = Find(trailers, kUsageKey);
  if (!packed || !usage.ParseFromString(*packed)) return std::nullopt;
  return usage;
}

// An unreadable value forbids the retry, as the gRPC retry design (gRFC A6) has it.
std::optional<long long> ReadPushback(const Trailers& trailers) {
  const auto text = Find(trailers, kPushbackKey);
  if (!text) return std::nullopt;
  long long value = 0;
  const auto [end, problem] = std::from_chars(text->data(), text->data() + text->size(), value);
  return problem == std::errc() && end == text->data() + text->size() ? value : -1;
}

}  // namespace

bool Failure::is_retriable() const {
  if (is_lasting) return false;
  const Error::Kind kind = error.kind();
  if (kind == Error::Kind::kServerUnavailable || kind == Error::Kind::kConnectionLost) return true;
  if (error.code() == StatusCode::UNAVAILABLE) return true;
  return error.code() == StatusCode::RESOURCE_EXHAUSTED && error.retry_after().has_value();
}

bool IsTransportLoss(StatusCode code, const std::string& message) {
  if (code == StatusCode::UNAVAILABLE) return true;
  return (code == StatusCode::INTERNAL || code == StatusCode::UNKNOWN) && HasAny(message, kResetMarks);
}

Failure ReadFailure(const grpc::Status& status, const Trailers& trailers, const std::string& target,
                    const std::string& request_id, bool answer_begun) {
  Error::Details details;
  details.code = status.error_code();
  details.message = status.error_message().empty() ? StatusCodeName(details.code) : status.error_message();
  details.request_id = request_id;
  google::rpc::Status packed;
  if (packed.ParseFromString(status.error_details())) ReadDetails(packed, details);
  details.usage = ReadUsage(trailers);
  if (details.reason.empty() && IsTransportLoss(details.code, details.message)) {
    details.kind = answer_begun ? Error::Kind::kConnectionLost : Error::Kind::kServerUnavailable;
    if (!answer_begun) details.code = StatusCode::UNAVAILABLE;
  }
  const std::string& said = status.error_message();
  if (details.kind == Error::Kind::kServerUnavailable && said.find("Connection refused") != std::string::npos)
    details.message = "no server listens at " + target + "; `trivium serve` starts one";
  if (details.reason.empty() && details.code == StatusCode::DEADLINE_EXCEEDED && said == "Deadline Exceeded")
    details.message = "the deadline of the call passed";
  const bool is_lasting =
      details.kind == Error::Kind::kServerUnavailable && HasAny(InLowerCase(details.message), kTlsMarks);
  return {Error(std::move(details)), ReadPushback(trailers), is_lasting};
}

Error MakeError(Error::Kind kind, StatusCode code, std::string message, std::string request_id) {
  Error::Details details;
  details.kind = kind;
  details.code = code;
  details.message = std::move(message);
  details.request_id = std::move(request_id);
  return Error(std::move(details));
}

Error InvalidCall(std::string message) {
  return MakeError(Error::Kind::kInvalidCall, StatusCode::INVALID_ARGUMENT, std::move(message));
}

}  // namespace trivium::detail

namespace trivium {

Error Error::OfItem(const google::rpc::Status& status, const std::string& request_id) {
  Details details;
  details.code = static_cast<StatusCode>(status.code());
  details.message = status.message().empty() ? StatusCodeName(details.code) : status.message();
  detail::ReadDetails(status, details);
  if (!request_id.empty()) details.request_id = request_id;
  return Error(std::move(details));
}

}  // namespace trivium
