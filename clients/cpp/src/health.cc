#include "trivium/health.h"

namespace trivium {
namespace {

google::protobuf::StringValue Request(const std::string& service) {
  google::protobuf::StringValue request;
  request.set_value(service);
  return request;
}

// A value that this version does not know is as good as none.
ServingStatus Known(int value) {
  return value >= 0 && value <= 3 ? static_cast<ServingStatus>(value) : ServingStatus::kUnknown;
}

}  // namespace

bool HealthWatch::Read(ServingStatus& status) {
  google::protobuf::Int32Value state;
  if (!states_.Read(state)) return false;
  status = Known(state.value());
  return true;
}

ServingStatus HealthClient::Check(const std::string& service, const CallOptions& options) const {
  const auto state = Unary<google::protobuf::Int32Value>("/grpc.health.v1.Health/Check", Request(service), options);
  return Known(state.value());
}

HealthWatch HealthClient::Watch(const std::string& service, const CallOptions& options) const {
  return HealthWatch(ServerStream<google::protobuf::Int32Value>("/grpc.health.v1.Health/Watch", Request(service),
                                                                options, detail::Ending::kCallerOnly));
}

}  // namespace trivium
