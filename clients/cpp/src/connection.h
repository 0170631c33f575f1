#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>

#include <memory>
#include <optional>
#include <string>

#include "retry.h"
#include "target.h"
#include "trivium/cancel.h"
#include "trivium/options.h"

namespace trivium::detail {

// Longer than anybody waits, and short enough that no clock overflows.
inline constexpr std::chrono::milliseconds kLongestTimeout = std::chrono::hours(24 * 365 * 10);

// A client's channel and what all of its calls share. Immutable after it is made, but for its closing.
class Connection {
 public:
  // Throws Error of kind kInvalidCall for options that cannot be. Nothing is sent yet.
  explicit Connection(ClientOptions options);

  const ClientOptions& options() const { return options_; }
  // What gRPC takes as the target.
  const std::string& address() const { return target_.address; }
  grpc::GenericStub& stub() { return stub_; }
  // Cancelled when the client is closed.
  const CancelSource& closing() const { return closing_; }

 private:
  ClientOptions options_;
  Target target_;
  grpc::GenericStub stub_;
  CancelSource closing_;
};

// One call's options, checked and with the client's defaults filled in; the same for all its attempts.
class CallSettings {
 public:
  // default_timeout: nothing is no deadline.
  CallSettings(const Connection& connection, const CallOptions& options,
               std::optional<std::chrono::milliseconds> default_timeout);

  const std::string& request_id() const { return request_id_; }
  const CancelToken& cancel() const { return cancel_; }
  // Until the call's deadline, 0 at least; nothing where it has none.
  std::optional<Seconds> left() const;
  // Counts an attempt, and makes the context ready for it.
  void BeginAttempt(grpc::ClientContext& context);
  int attempts() const { return attempts_; }
  // The attempt at hand brought the call forward: it counts as the first one.
  void RenewAttempts() { attempts_ = 1; }

 private:
  const Connection& connection_;
  std::string request_id_;
  Metadata metadata_;
  CancelToken cancel_;
  CallReport* report_;
  std::optional<Clock::time_point> deadline_;
  int attempts_ = 0;
};

}  // namespace trivium::detail
