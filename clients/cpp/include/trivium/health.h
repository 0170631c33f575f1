#pragma once

#include <google/protobuf/wrappers.pb.h>

#include <string>

#include "trivium/client.h"
#include "trivium/detail/group.h"

namespace trivium {

// Whether a server, a service or a model takes calls, as grpc.health.v1 tells it.
enum class ServingStatus { kUnknown = 0, kServing = 1, kNotServing = 2, kServiceUnknown = 3 };

// The states of what HealthClient::Watch watches. Ends, throws and is used by threads as trivium::Stream.
class HealthWatch {
 public:
  using iterator = detail::ReadIterator<HealthWatch, ServingStatus>;

  explicit HealthWatch(Stream<google::protobuf::Int32Value> states) : states_(std::move(states)) {}

  // Waits for the next state and puts it into `status`. Returns false at the end.
  bool Read(ServingStatus& status);
  void Cancel() { states_.Cancel(); }

  iterator begin() { return iterator(this); }
  iterator end() { return iterator(); }

 private:
  Stream<google::protobuf::Int32Value> states_;
};

// Asks grpc.health.v1. What is asked about is "" for the server as a whole, the full name of a service, for
// example `trivium.v1.TextGenerationService`, or a model as `model/NAME`.
//
// The messages of grpc.health.v1 have one field each and are sent as the wrappers of Protobuf, which are the
// same on the wire: this library brings no second copy of them into programs that link gRPC's own.
class HealthClient : public detail::Group {
 public:
  using Group::Group;

  // Throws Error with NOT_FOUND for what the server does not know.
  ServingStatus Check(const std::string& service = "", const CallOptions& options = {}) const;

  // Sends the state, then every change of it, until the caller ends the stream.
  HealthWatch Watch(const std::string& service = "", const CallOptions& options = {}) const;
};

}  // namespace trivium
