#include "trivium/error.h"

namespace trivium {
namespace {

std::string Describe(const Error::Details& details) {
  std::string text = details.message + " (";
  text += details.reason.empty() ? StatusCodeName(details.code) : details.reason;
  if (!details.request_id.empty()) text += ", request " + details.request_id;
  return text + ")";
}

}  // namespace

Error::Error(Details details)
    : std::runtime_error(Describe(details)), details_(std::make_shared<const Details>(std::move(details))) {}

v1::ErrorReason Error::known_reason() const {
  v1::ErrorReason value = v1::ERROR_REASON_UNSPECIFIED;
  v1::ErrorReason_Parse("ERROR_REASON_" + reason(), &value);
  return value;
}

const char* StatusCodeName(StatusCode code) {
  switch (code) {
    case StatusCode::OK:
      return "OK";
    case StatusCode::CANCELLED:
      return "CANCELLED";
    case StatusCode::UNKNOWN:
      return "UNKNOWN";
    case StatusCode::INVALID_ARGUMENT:
      return "INVALID_ARGUMENT";
    case StatusCode::DEADLINE_EXCEEDED:
      return "DEADLINE_EXCEEDED";
    case StatusCode::NOT_FOUND:
      return "NOT_FOUND";
    case StatusCode::ALREADY_EXISTS:
      return "ALREADY_EXISTS";
    case StatusCode::PERMISSION_DENIED:
      return "PERMISSION_DENIED";
    case StatusCode::UNAUTHENTICATED:
      return "UNAUTHENTICATED";
    case StatusCode::RESOURCE_EXHAUSTED:
      return "RESOURCE_EXHAUSTED";
    case StatusCode::FAILED_PRECONDITION:
      return "FAILED_PRECONDITION";
    case StatusCode::ABORTED:
      return "ABORTED";
    case StatusCode::OUT_OF_RANGE:
      return "OUT_OF_RANGE";
    case StatusCode::UNIMPLEMENTED:
      return "UNIMPLEMENTED";
    case StatusCode::INTERNAL:
      return "INTERNAL";
    case StatusCode::UNAVAILABLE:
      return "UNAVAILABLE";
    case StatusCode::DATA_LOSS:
      return "DATA_LOSS";
    default:
      return "UNKNOWN";
  }
}

const char* KindName(Error::Kind kind) {
  switch (kind) {
    case Error::Kind::kServerUnavailable:
      return "server_unavailable";
    case Error::Kind::kConnectionLost:
      return "connection_lost";
    case Error::Kind::kTruncatedStream:
      return "truncated_stream";
    case Error::Kind::kStreamIdleTimeout:
      return "stream_idle_timeout";
    case Error::Kind::kCancelled:
      return "cancelled";
    case Error::Kind::kInvalidCall:
      return "invalid_call";
    case Error::Kind::kNone:
      return "";
  }
  return "";
}

}  // namespace trivium
