#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

// Messages of any type as gRPC carries them.
namespace trivium::detail {

// Throws Error of kind kInvalidCall for a message that has more bytes than limit_bytes.
grpc::ByteBuffer Serialized(const google::protobuf::Message& message, int limit_bytes);

// Throws Error with INTERNAL for bytes that are no such message.
void Parse(grpc::ByteBuffer& bytes, google::protobuf::Message& message, const std::string& request_id);

}  // namespace trivium::detail
