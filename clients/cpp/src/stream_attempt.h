#pragma once

#include <memory>
#include <mutex>

#include "canceller.h"
#include "operations.h"

namespace trivium::detail {

// Sends a streaming call once. Its destructor cancels what is not over. One thread may write beside one that
// reads.
class StreamAttempt {
 public:
  enum class Got { kMessage, kEnd, kNothingInTime };

  StreamAttempt(Connection& connection, const char* method, CallSettings& settings, Canceller& canceller);
  ~StreamAttempt();

  // Sends a call's only request, without waiting.
  void Send(const grpc::ByteBuffer& request);

  // Sends one of several requests. Waits while the server takes no more. Returns false where the call is
  // over.
  bool Write(const grpc::ByteBuffer& request);
  bool WritesDone();

  // Waits for the next response.
  Got Read(grpc::ByteBuffer& response, const Operations::Limit& limit);

  // Returns how the call ended, once Read has told that it did.
  grpc::Status Finish();
  const Trailers& trailers() const { return context_.GetServerTrailingMetadata(); }

  void Cancel() { context_.TryCancel(); }

 private:
  Canceller& canceller_;
  grpc::ClientContext context_;
  grpc::ByteBuffer incoming_;
  Operation read_;
  Operation write_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
  Operations operations_;  // last: it ends before what gRPC works on
};

}  // namespace trivium::detail
