#pragma once

#include <google/protobuf/message.h>

#include <memory>
#include <string>

#include "trivium/options.h"

// What the typed faces are made of: calls of any messages. Not for callers.
namespace trivium::detail {

// A client's channel and settings, shared by its groups and its streams.
class Connection;

// How a stream of responses says that it is whole.
enum class Ending {
  // By an event `completed`; and its events are counted in `sequence`.
  kCompletedEvent,
  // By a `model` that is ready.
  kReadyModel,
  // Not at all: only the caller ends it.
  kCallerOnly,
};

// Sends a call with one response, again where the policy says so, and fills in the response. Throws Error.
void CallUnary(const std::shared_ptr<Connection>& connection, const char* method,
               const google::protobuf::Message& request, google::protobuf::Message& response,
               const CallOptions& options);

// A call with a stream of responses. Not for several threads at once, but for Write and WritesDone beside
// Read, and Cancel beside anything.
class StreamCall {
 public:
  // Sends the call without waiting for the server. request: the only one; null where the caller streams them.
  // Throws Error for what is not sent.
  StreamCall(std::shared_ptr<Connection> connection, const char* method, Ending ending,
             const google::protobuf::Message* request, const CallOptions& options);
  ~StreamCall();
  StreamCall(const StreamCall&) = delete;
  StreamCall& operator=(const StreamCall&) = delete;

  bool Read(google::protobuf::Message& response);
  bool Write(const google::protobuf::Message& request);
  void WritesDone();
  void Cancel();
  const std::string& request_id() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace trivium::detail
