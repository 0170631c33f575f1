#include "connection.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <algorithm>
#include <cstdlib>

#include "metadata.h"
#include "target.h"

namespace trivium::detail {
namespace {

constexpr const char* kDefaultTarget = "127.0.0.1:50051";
constexpr const char* kUserAgent = "trivium-cpp/" TRIVIUM_VERSION;
constexpr const char* kClientName = "trivium-cpp/" TRIVIUM_VERSION " cpp/17";

std::string ChosenTarget(const std::string& given) {
  if (!given.empty()) return given;
  const char* from_environment = std::getenv("TRIVIUM_TARGET");
  return from_environment != nullptr && *from_environment != '\0' ? from_environment : kDefaultTarget;
}

bool IsEncrypted(const Target& target, const ClientOptions& options) {
  const bool* given = std::get_if<bool>(&options.tls);
  const bool has_certificates = std::holds_alternative<Tls>(options.tls);
  const std::optional<bool> wanted = given != nullptr   ? std::optional(*given)
                                     : has_certificates ? std::optional(true)
                                                        : std::nullopt;
  if (target.is_encrypted && wanted && *wanted != *target.is_encrypted)
    throw InvalidCall("the URL and tls contradict each other; give " + target.address + " as target, and tls");
  if (target.is_encrypted) return *target.is_encrypted;
  return wanted.value_or(!IsLocal(target.address));
}

std::shared_ptr<grpc::ChannelCredentials> Credentials(bool is_encrypted, const ClientOptions& options) {
  if (!is_encrypted) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions ssl;
  if (const Tls* tls = std::get_if<Tls>(&options.tls)) {
    if (tls->certificate.empty() != tls->private_key.empty())
      throw InvalidCall("tls.certificate and tls.private_key are given together or not at all");
    ssl = {tls->root_certificates, tls->private_key, tls->certificate};
  }
  return grpc::SslCredentials(ssl);
}

grpc::ChannelArguments Arguments(const std::string& address, const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(options.max_message_bytes);
  arguments.SetMaxSendMessageSize(options.max_message_bytes);
  arguments.SetUserAgentPrefix(kUserAgent);
  // Below 60 s the server takes pings for abuse; a connection without calls needs none. A stream that is
  // quiet for longer than two pings is still kept.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // retry.cc is the only place that retries, and its waits must not be outlasted by gRPC's reconnects.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5'000);
  // A client's connections are its own: closed with it, and not in another one's back-off.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetServiceConfigJSON(std::string(R"({"loadBalancingConfig":[{")") + Balancer(address) + R"(":{}}]})");
  const Tls* tls = std::get_if<Tls>(&options.tls);
  if (tls != nullptr && !tls->server_name.empty()) arguments.SetSslTargetNameOverride(tls->server_name);
  return arguments;
}

std::chrono::milliseconds CheckedLimit(const char* name, std::chrono::milliseconds limit) {
  if (limit.count() <= 0)
    throw InvalidCall(std::string(name) + " is " + std::to_string(limit.count()) + " ms; it must be more than 0");
  return limit;
}

ClientOptions Checked(ClientOptions options) {
  options.target = ChosenTarget(options.target);
  options.metadata = CheckedMetadata(options.metadata);
  if (options.token) CheckToken(*options.token);
  CheckPolicy(options.retry);
  CheckedLimit("timeout", options.timeout);
  CheckedLimit("idle_timeout", options.idle_timeout);
  if (options.timeout == kNoLimit) throw InvalidCall("timeout of a client must be limited");
  if (options.max_message_bytes < 1) throw InvalidCall("max_message_bytes must be at least 1");
  return options;
}

std::shared_ptr<grpc::Channel> MakeChannel(const Target& target, const ClientOptions& options) {
  const auto credentials = Credentials(IsEncrypted(target, options), options);
  return grpc::CreateCustomChannel(target.address, credentials, Arguments(target.address, options));
}

// As gRPC wants a deadline that no change of the wall clock moves.
gpr_timespec InGrpcTime(Clock::duration left) {
  const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(left).count();
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(nanoseconds, GPR_TIMESPAN));
}

}  // namespace

Connection::Connection(ClientOptions options)
    : options_(Checked(std::move(options))),
      target_(ParseTarget(options_.target)),
      stub_(MakeChannel(target_, options_)) {}

CallSettings::CallSettings(const Connection& connection, const CallOptions& options,
                           std::optional<std::chrono::milliseconds> default_timeout)
    : connection_(connection),
      request_id_(options.request_id.empty() ? NewRequestId() : options.request_id),
      metadata_(CheckedMetadata(options.metadata)),
      cancel_(options.cancel),
      report_(options.report) {
  CheckRequestId(request_id_);
  metadata_.insert(connection.options().metadata.begin(), connection.options().metadata.end());
  auto timeout = default_timeout;
  if (options.timeout) timeout = CheckedLimit("timeout", *options.timeout);
  if (timeout == kNoLimit) {
    if (default_timeout) throw InvalidCall("timeout of a call with one response must be limited");
    timeout.reset();
  }
  if (options.idle_timeout) CheckedLimit("idle_timeout", *options.idle_timeout);
  if (timeout) deadline_ = Clock::now() + std::min(*timeout, kLongestTimeout);
  if (report_ != nullptr) *report_ = {request_id_, 0};
}

std::optional<Seconds> CallSettings::left() const {
  if (!deadline_) return std::nullopt;
  return std::max<Seconds>(Seconds(0), *deadline_ - Clock::now());
}

void CallSettings::BeginAttempt(grpc::ClientContext& context) {
  ++attempts_;
  if (report_ != nullptr) report_->attempts = attempts_;
  for (const auto& [key, value] : metadata_) context.AddMetadata(key, value);
  context.AddMetadata("x-request-id", request_id_);
  context.AddMetadata("trivium-client", kClientName);
  if (const auto& token = connection_.options().token) context.AddMetadata("authorization", "Bearer " + *token);
  if (deadline_) context.set_deadline(InGrpcTime(std::max(Clock::duration(0), *deadline_ - Clock::now())));
}

}  // namespace trivium::detail
