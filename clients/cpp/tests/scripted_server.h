#pragma once

#include <grpcpp/support/status.h>

#include <chrono>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "trivium/trivium.h"

namespace trivium::testing {

// A call as the scripted server sees it. Its methods wait; they return what they can once the call is over.
class Conversation {
 public:
  virtual ~Conversation() = default;

  const std::string& method() const { return method_; }
  // What the caller sent before its first message.
  const std::multimap<std::string, std::string>& metadata() const { return metadata_; }
  // The value of a key that came once; "" where there is none.
  std::string metadata(const std::string& key) const;
  // How much time the caller gave, from when the call came.
  std::chrono::duration<double> time_given() const { return time_given_; }

  // The next request; nothing after the last one.
  template <class Request>
  std::optional<Request> Read() {
    const auto bytes = ReadBytes();
    Request request;
    if (!bytes || !request.ParseFromString(*bytes)) return std::nullopt;
    return request;
  }
  // Returns false where the call is over.
  bool Write(const google::protobuf::Message& response) { return WriteBytes(response.SerializeAsString()); }
  // As Write, for what need not be a message.
  virtual bool WriteBytes(const std::string& bytes) = 0;
  // Waits until the caller gave up. Returns false where it did not for ten seconds.
  virtual bool WaitForCancel() = 0;
  virtual bool is_cancelled() const = 0;
  virtual void AddTrailer(const std::string& key, const std::string& value) = 0;

 protected:
  virtual std::optional<std::string> ReadBytes() = 0;

  std::string method_;
  std::multimap<std::string, std::string> metadata_;
  std::chrono::duration<double> time_given_{};
};

// Answers any method as it is told, on a free port of the loopback interface. Scripts run in threads of their
// own.
class ScriptedServer {
 public:
  // What a call is answered with. Its return value ends the call.
  using Script = std::function<grpc::Status(Conversation&)>;

  // Calls are answered by one script each, those past the last one by the last.
  explicit ScriptedServer(std::vector<Script> scripts);
  explicit ScriptedServer(Script script) : ScriptedServer(std::vector<Script>{std::move(script)}) {}
  // Ends what still runs.
  ~ScriptedServer();

  std::string target() const;
  // How many calls came.
  int call_count() const;
  // Ends everything and stops listening.
  void Stop();

 private:
  class Service;

  std::unique_ptr<Service> service_;
};

// Hangs until the caller gives up, after an event where it is given one, and tells when the call came and whether the
// caller gave up.
class Hanging {
 public:
  explicit Hanging(std::optional<v1::StreamGenerateResponse> first = std::nullopt) : first_(std::move(first)) {}

  grpc::Status operator()(Conversation& call) const;

  // Waits until the call has come. Fails the test where it does not for ten seconds.
  void WaitForCall() const;
  // Waits until the call is over. Returns false where it was not given up.
  bool was_given_up() const;

 private:
  struct State {
    std::promise<void> came;
    std::promise<bool> given_up;
  };

  std::optional<v1::StreamGenerateResponse> first_;
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// Scripts that answer Greet's call, then as given.
std::vector<ScriptedServer::Script> AfterGreeting(ScriptedServer::Script script);
// Makes a call, so that no time is lost with connecting in the next one.
void Greet(const Client& client);

// A client of that server, and short waits between attempts.
ClientOptions OptionsFor(const ScriptedServer& server);

// A status with an ErrorInfo of this domain and, where it is not 0, RetryInfo.
grpc::Status TriviumStatus(grpc::StatusCode code, const std::string& reason, double retry_after_s = 0,
                           const std::string& domain = "trivium.v1");

// The events of StreamGenerate.
v1::StreamGenerateResponse Started(std::int64_t sequence = 0);
v1::StreamGenerateResponse Delta(std::int64_t sequence, const std::string& text);
v1::StreamGenerateResponse Completed(std::int64_t sequence);

// Runs what must fail with an Error, and returns it.
Error ErrorOf(const std::function<void()>& failing);

}  // namespace trivium::testing
