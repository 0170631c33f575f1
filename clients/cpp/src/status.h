#pragma once

#include <grpcpp/support/status.h>
#include <grpcpp/support/string_ref.h>

#include <map>
#include <optional>
#include <string>

#include "trivium/error.h"

// Turns what gRPC reports about a failed call into an Error. Pure.
namespace trivium::detail {

using Trailers = std::multimap<grpc::string_ref, grpc::string_ref>;

// A failure, and what the retry policy must know beyond it.
struct Failure {
  Error error;
  // The server's grpc-retry-pushback-ms: negative forbids a retry, nothing leaves it to the client.
  std::optional<long long> pushback_ms;
  // TLS could not be agreed on: another attempt would meet the same.
  bool is_lasting = false;

  bool is_retriable() const;
};

// Maps a failed call. target: what was called. request_id: the one that was sent. answer_begun: whether a message of
// the answer had arrived.
Failure ReadFailure(const grpc::Status& status, const Trailers& trailers, const std::string& target,
                    const std::string& request_id, bool answer_begun);

// Whether a status without a reason means that the connection, and not the call, failed.
bool IsTransportLoss(StatusCode code, const std::string& message);

// An error that the client makes itself.
Error MakeError(Error::Kind kind, StatusCode code, std::string message, std::string request_id = "");

// Of kind kInvalidCall.
Error InvalidCall(std::string message);

}  // namespace trivium::detail
