#include "scripted_server.h"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace trivium::testing {
namespace {

constexpr std::chrono::seconds kPatience(10);

std::string Text(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string text;
  for (const auto& slice : slices) text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return text;
}

std::string Text(grpc::string_ref text) { return {text.data(), text.size()}; }

// A call of gRPC's callback interface, seen by a script that waits.
class ReactorConversation : public grpc::ServerGenericBidiReactor, public Conversation {
 public:
  ReactorConversation(grpc::GenericCallbackServerContext& context, ScriptedServer::Script script,
                      std::function<void()> on_end)
      : context_(context), on_end_(std::move(on_end)) {
    method_ = context.method();
    for (const auto& [key, value] : context.client_metadata()) metadata_.emplace(Text(key), Text(value));
    time_given_ = context.deadline() - std::chrono::system_clock::now();
    std::thread([this, script = std::move(script)] {
      const grpc::Status status = script(*this);
      Finish(status);
    }).detach();
  }

  bool WaitForCancel() override {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [this] { return is_cancelled_; });
  }

  bool is_cancelled() const override {
    std::lock_guard lock(mutex_);
    return is_cancelled_;
  }

  void AddTrailer(const std::string& key, const std::string& value) override {
    context_.AddTrailingMetadata(key, value);
  }

  bool WriteBytes(const std::string& bytes) override {
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer outgoing(&slice, 1);
    written_.reset();
    StartWrite(&outgoing);
    return Wait(written_);
  }

 protected:
  std::optional<std::string> ReadBytes() override {
    read_.reset();
    StartRead(&incoming_);
    if (!Wait(read_)) return std::nullopt;
    return Text(incoming_);
  }

 private:
  void OnReadDone(bool ok) override { Tell(read_, ok); }
  void OnWriteDone(bool ok) override { Tell(written_, ok); }
  void OnCancel() override {
    std::lock_guard lock(mutex_);
    is_cancelled_ = true;
    changed_.notify_all();
  }
  void OnDone() override {
    on_end_();
    delete this;
  }

  void Tell(std::optional<bool>& result, bool ok) {
    std::lock_guard lock(mutex_);
    result = ok;
    changed_.notify_all();
  }

  bool Wait(std::optional<bool>& result) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return result.has_value(); });
    return *result;
  }

  grpc::GenericCallbackServerContext& context_;
  std::function<void()> on_end_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  grpc::ByteBuffer incoming_;
  std::optional<bool> read_;
  std::optional<bool> written_;
  bool is_cancelled_ = false;
};

}  // namespace

class ScriptedServer::Service : public grpc::CallbackGenericService {
 public:
  explicit Service(std::vector<Script> scripts) : scripts_(std::move(scripts)) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.SetMaxReceiveMessageSize(-1);
    builder.RegisterCallbackGenericService(this);
    server_ = builder.BuildAndStart();
  }

  int port() const { return port_; }

  void Stop() { server_->Shutdown(std::chrono::system_clock::now()); }

  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override {
    std::lock_guard lock(mutex_);
    const auto place = std::min<std::size_t>(static_cast<std::size_t>(call_count_), scripts_.size() - 1);
    ++call_count_;
    ++running_;
    return new ReactorConversation(*context, scripts_[place], [this] {
      std::lock_guard end(mutex_);
      --running_;
      changed_.notify_all();
    });
  }

  int call_count() const {
    std::lock_guard lock(mutex_);
    return call_count_;
  }

  void WaitForEnd() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return running_ == 0; });
  }

 private:
  std::vector<Script> scripts_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int call_count_ = 0;
  int running_ = 0;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

std::string Conversation::metadata(const std::string& key) const {
  const auto found = metadata_.find(key);
  return metadata_.count(key) == 1 ? found->second : "";
}

ScriptedServer::ScriptedServer(std::vector<Script> scripts) : service_(new Service(std::move(scripts))) {}

ScriptedServer::~ScriptedServer() {
  Stop();
  service_->WaitForEnd();
}

std::string ScriptedServer::target() const { return "127.0.0.1:" + std::to_string(service_->port()); }

int ScriptedServer::call_count() const { return service_->call_count(); }

void ScriptedServer::Stop() { service_->Stop(); }

grpc::Status Hanging::operator()(Conversation& call) const {
  if (first_) call.Write(*first_);
  state_->came.set_value();
  state_->given_up.set_value(call.WaitForCancel());
  return grpc::Status::CANCELLED;
}

void Hanging::WaitForCall() const {
  EXPECT_EQ(state_->came.get_future().wait_for(kPatience), std::future_status::ready) << "no call came";
}

bool Hanging::was_given_up() const {
  std::future<bool> given_up = state_->given_up.get_future();
  return given_up.wait_for(2 * kPatience) == std::future_status::ready && given_up.get();
}

std::vector<ScriptedServer::Script> AfterGreeting(ScriptedServer::Script script) {
  const auto greeted = [](Conversation& call) {
    call.Write(v1::CountTokensResponse());
    return grpc::Status::OK;
  };
  return {greeted, std::move(script)};
}

void Greet(const Client& client) { client.text().CountTokens({}); }

ClientOptions OptionsFor(const ScriptedServer& server) {
  ClientOptions options;
  options.target = server.target();
  options.retry.initial_backoff = std::chrono::milliseconds(20);
  return options;
}

grpc::Status TriviumStatus(grpc::StatusCode code, const std::string& reason, double retry_after_s,
                           const std::string& domain) {
  google::rpc::Status status;
  status.set_code(code);
  google::rpc::ErrorInfo info;
  info.set_domain(domain);
  info.set_reason(reason);
  (*info.mutable_metadata())["model"] = "m";
  status.add_details()->PackFrom(info);
  if (retry_after_s > 0) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(static_cast<std::int64_t>(retry_after_s));
    retry.mutable_retry_delay()->set_nanos(
        static_cast<std::int32_t>((retry_after_s - static_cast<int>(retry_after_s)) * 1e9));
    status.add_details()->PackFrom(retry);
  }
  return {code, "it went wrong", status.SerializeAsString()};
}

v1::StreamGenerateResponse Started(std::int64_t sequence) {
  v1::StreamGenerateResponse event;
  event.set_sequence(sequence);
  event.mutable_started();
  return event;
}

v1::StreamGenerateResponse Delta(std::int64_t sequence, const std::string& text) {
  v1::StreamGenerateResponse event;
  event.set_sequence(sequence);
  event.mutable_delta()->set_text(text);
  return event;
}

v1::StreamGenerateResponse Completed(std::int64_t sequence) {
  v1::StreamGenerateResponse event;
  event.set_sequence(sequence);
  event.mutable_completed()->mutable_info()->mutable_usage()->mutable_tokens()->set_output_tokens(sequence);
  return event;
}

Error ErrorOf(const std::function<void()>& failing) {
  try {
    failing();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing failed";
  return Error({});
}

}  // namespace trivium::testing
