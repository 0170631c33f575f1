#pragma once

#include <grpcpp/support/status_code_enum.h>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "trivium/v1/common.pb.h"
#include "trivium/v1/errors.pb.h"

namespace google::rpc {
class Status;
}

namespace trivium {

using StatusCode = grpc::StatusCode;

// The name of a status code, for example `UNAVAILABLE`.
const char* StatusCodeName(StatusCode code);

// A wrong field of the request: its path, for example `input.sampling.top_p`, and what is wrong with it.
struct FieldViolation {
  std::string field;
  std::string description;
};

// A call failed. Everything that this library throws about a call, and about options that cannot be, is one
// of these.
class Error : public std::runtime_error {
 public:
  // What the client itself says about a failure.
  enum class Kind {
    // The server says it all.
    kNone,
    // The connection was lost, or nothing was reached, before the first message of the answer.
    kServerUnavailable,
    // The connection was lost after the first message, and the call could not go on; see RetryPolicy. What had arrived
    // is valid.
    kConnectionLost,
    // A stream ended with OK before its terminal event, or an event before one that came is missing.
    kTruncatedStream,
    // No message came for the idle timeout; the call was cancelled.
    kStreamIdleTimeout,
    // The caller cancelled the call or the stream, or the client was closed.
    kCancelled,
    // An argument was refused here; nothing was sent.
    kInvalidCall,
  };

  // All that is known about a failure.
  struct Details {
    // What happened, in English, for people.
    std::string message;
    StatusCode code = StatusCode::UNKNOWN;
    Kind kind = Kind::kNone;
    // The name of an ErrorReason of the contract without its prefix, for example `MODEL_NOT_FOUND`. Empty
    // where no Trivium server made the failure. May be one that this version does not know.
    std::string reason;
    // What varies in the message, by name; the comments of v1::ErrorReason say which names each reason has.
    std::map<std::string, std::string> metadata;
    std::vector<FieldViolation> field_violations;
    // After how long the server wants the call to be sent again.
    std::optional<std::chrono::nanoseconds> retry_after;
    // Finds the call in the server's log. Empty where no call was made.
    std::string request_id;
    // What the call used before it failed, where the server said so.
    std::optional<v1::Usage> usage;
  };

  explicit Error(Details details);

  // The error of an item that failed alone, while the others of its call were answered.
  static Error OfItem(const google::rpc::Status& status, const std::string& request_id = "");

  const std::string& message() const { return details_->message; }
  StatusCode code() const { return details_->code; }
  Kind kind() const { return details_->kind; }
  const std::string& reason() const { return details_->reason; }
  // The reason as a value to switch over; ERROR_REASON_UNSPECIFIED where there is none or an unknown one.
  v1::ErrorReason known_reason() const;
  const std::map<std::string, std::string>& metadata() const { return details_->metadata; }
  const std::vector<FieldViolation>& field_violations() const { return details_->field_violations; }
  const std::optional<std::chrono::nanoseconds>& retry_after() const { return details_->retry_after; }
  const std::string& request_id() const { return details_->request_id; }
  const std::optional<v1::Usage>& usage() const { return details_->usage; }

 private:
  std::shared_ptr<const Details> details_;  // shared, since copying an exception must not throw
};

// The name of a kind as all SDKs of Trivium spell it, for example `connection_lost`. Empty for kNone.
const char* KindName(Error::Kind kind);

}  // namespace trivium
