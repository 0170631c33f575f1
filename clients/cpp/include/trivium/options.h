#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <variant>

#include "trivium/cancel.h"

namespace trivium {

// Keys of any case, with text of printable ASCII; any bytes where the key ends in `-bin`.
using Metadata = std::map<std::string, std::string>;

// As CallOptions::timeout of a stream or as an idle timeout: none.
inline constexpr std::chrono::milliseconds kNoLimit = std::chrono::milliseconds::max();

// Certificates of an encrypted connection, as PEM. What is empty takes gRPC's own roots or no client
// certificate.
struct Tls {
  // Who may have signed the server's certificate.
  std::string root_certificates;
  // Identify this client (mutual TLS). Given together or not at all.
  std::string certificate;
  std::string private_key;
  // Checked against the server's certificate instead of the target's host.
  std::string server_name;
};

// How often and how patiently a client sends a failed call again.
//
// Sent again are calls that failed with UNAVAILABLE, unless TLS could not be agreed on, calls whose connection was lost
// before the first message of their answer, and calls that failed with RESOURCE_EXHAUSTED where the server said when to
// come back; never past the call's deadline, and never a call with a stream of requests. The wait is random between
// half and all of initial_backoff, doubled at each attempt up to max_backoff, and no shorter than what the server asks
// for; a server that asks for more than max_retry_after gets no retry.
//
// A streamed text that breaks after its first message goes on where it can be made again: with a seed or temperature 0,
// and without log-probabilities. Then the attempts count anew from each new event.
struct RetryPolicy {
  // Counts the first one: 1 switches retries off.
  int max_attempts = 4;
  std::chrono::milliseconds initial_backoff{200};
  std::chrono::milliseconds max_backoff{5'000};
  std::chrono::milliseconds max_retry_after{30'000};
};

// Where a server is and how to talk to it.
struct ClientOptions {
  // host:port, http://host:port, https://host[:port], or a target of gRPC's own such as dns:///… and unix:….
  // Empty: $TRIVIUM_TARGET, else 127.0.0.1:50051.
  std::string target;
  // true or false: encrypted or plain text; a Tls: encrypted, with these certificates. Unset: as a URL's
  // scheme says, else plain text to loopback addresses and Unix sockets and TLS to any other. A setting that
  // contradicts a URL is refused.
  std::variant<std::monostate, bool, Tls> tls;
  // Sent as `authorization: Bearer …`: printable ASCII without blanks. Never in an error.
  std::optional<std::string> token;
  // Sent with every call.
  Metadata metadata;
  // How long a call with one response may take, over all its attempts.
  std::chrono::milliseconds timeout{60'000};
  // How long a stream may bring no message before it fails. See CallOptions::idle_timeout.
  std::chrono::milliseconds idle_timeout{60'000};
  // How large a message may be, both ways. A request that is larger is refused before it is sent.
  int max_message_bytes = 16 * 1024 * 1024;
  RetryPolicy retry;
};

// What became of a call, beside its response. Written when the call is made, and again at each attempt.
struct CallReport {
  // The request id that was sent. It finds the call in the server's log.
  std::string request_id;
  // How often the call was sent.
  int attempts = 0;
};

// What one call changes.
struct CallOptions {
  // How long the call may take, over all its attempts. Unset: the client's timeout, and none for a stream.
  std::optional<std::chrono::milliseconds> timeout;
  // How long a stream may bring no message while the caller reads; not between the first message of a stream of
  // requests and the caller's WritesDone, when it may be the caller's turn. Unset: the client's, but none for
  // WatchModels, LoadModel and HealthClient::Watch.
  std::optional<std::chrono::milliseconds> idle_timeout;
  // 1 to 128 characters of A-Z a-z 0-9 . _ : / + = @ -. Empty: a random UUID.
  std::string request_id;
  // Sent with this call; wins over the client's under the same key.
  Metadata metadata;
  // Ends the call from beside it.
  CancelToken cancel;
  // Where it is not null: filled in. It must live until the call is over.
  CallReport* report = nullptr;
};

}  // namespace trivium
