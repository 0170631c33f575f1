#include "messages.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include "status.h"

namespace trivium::detail {
namespace {

using Traits = grpc::SerializationTraits<google::protobuf::Message>;

}  // namespace

grpc::ByteBuffer Serialized(const google::protobuf::Message& message, int limit_bytes) {
  const std::size_t size = message.ByteSizeLong();
  if (size > static_cast<std::size_t>(limit_bytes))
    throw InvalidCall("the request has " + std::to_string(size) + " bytes; the limit is " +
                      std::to_string(limit_bytes));
  grpc::ByteBuffer bytes;
  bool is_owned = false;
  const grpc::Status status = Traits::Serialize(message, &bytes, &is_owned);
  if (!status.ok()) throw InvalidCall("the request cannot be serialized: " + status.error_message());
  return bytes;
}

void Parse(grpc::ByteBuffer& bytes, google::protobuf::Message& message, const std::string& request_id) {
  if (!Traits::Deserialize(&bytes, &message).ok())
    throw MakeError(Error::Kind::kNone, StatusCode::INTERNAL,
                    "a response is no " + message.GetTypeName() + " that can be read", request_id);
}

}  // namespace trivium::detail
