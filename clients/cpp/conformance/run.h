#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "trivium/trivium.h"

// One case of the conformance suite: what it asks for, and what came of it.
namespace conformance {

using Json = nlohmann::json;

std::string FromBase64(const std::string& text);
std::string ToBase64(const std::string& bytes);

// What a case does beside its call; see the suite's description of the runner.
struct Act {
  bool cancel_before = false;
  std::optional<double> cancel_after_s;
  std::optional<int> cancel_after_messages;
  std::optional<int> stop_after_messages;
  double read_pause_s = 0;
  bool half_close_on_go_away = false;
};

// A case that runs. Methods fill in what the caller sees; they throw trivium::Error.
class Run {
 public:
  explicit Run(const Json& given);

  const std::string& method() const { return method_; }
  const Act& act() const { return act_; }
  const trivium::ClientOptions& client() const { return client_; }
  // To be made calls with. The report and the token of it are this object's.
  trivium::CallOptions call();
  const trivium::CancelSource& cancel() const { return cancel_; }

  template <class Request>
  Request ParseRequest(std::size_t index) const {
    Request request;
    if (!request.ParseFromString(requests_.at(index))) throw std::runtime_error("a request cannot be parsed");
    return request;
  }
  std::size_t request_count() const { return requests_.size(); }

  // Takes a response that the SDK gave, and acts upon how many there are. Returns false where the case wants
  // no more.
  bool Take(const google::protobuf::Message& response);
  // Before each read of a stream.
  void PauseBeforeRead() const;
  void set_text(const std::string& text) { text_ = text; }

  // What is printed. error: null where the case went well.
  Json Result(const trivium::Error* error, double elapsed_s) const;

 private:
  std::string name_;
  std::string method_;
  trivium::ClientOptions client_;
  trivium::CallOptions call_;
  trivium::CancelSource cancel_;
  trivium::CallReport report_;
  Act act_;
  std::vector<std::string> requests_;
  std::vector<std::string> responses_;
  std::optional<std::string> text_;
};

// Calls run.method() with run's client. Returns false where this runner has no such method.
bool CallMethod(Run& run, const trivium::Client& client);

}  // namespace conformance
