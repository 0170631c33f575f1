#pragma once

#include <memory>
#include <utility>

#include "trivium/stream.h"

namespace trivium::detail {

// What a group of methods calls through. Copies are cheap; one may outlive its client, whose calls then fail.
class Group {
 public:
  explicit Group(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}

 protected:
  template <class Response>
  Response Unary(const char* method, const google::protobuf::Message& request, const CallOptions& options) const {
    Response response;
    CallUnary(connection_, method, request, response, options);
    return response;
  }

  template <class Response>
  Stream<Response> ServerStream(const char* method, const google::protobuf::Message& request,
                                const CallOptions& options, Ending ending = Ending::kCompletedEvent) const {
    return Stream<Response>(connection_, method, ending, request, options);
  }

  template <class Request, class Response>
  DuplexStream<Request, Response> Duplex(const char* method, const CallOptions& options) const {
    return DuplexStream<Request, Response>(connection_, method, options);
  }

 private:
  std::shared_ptr<Connection> connection_;
};

}  // namespace trivium::detail
