#include "canceller.h"
#include "messages.h"
#include "operations.h"
#include "trivium/detail/call.h"

namespace trivium::detail {
namespace {

// Sends a call once. Its destructor cancels what is not over.
class UnaryAttempt {
 public:
  UnaryAttempt(Connection& connection, const char* method, const grpc::ByteBuffer& request, CallSettings& settings,
               Canceller& canceller)
      : canceller_(canceller) {
    settings.BeginAttempt(context_);
    canceller_.Attach(&context_);
    reader_ = connection.stub().PrepareUnaryCall(&context_, method, request, operations_.queue());
    reader_->StartCall();
  }

  ~UnaryAttempt() { canceller_.Attach(nullptr); }

  grpc::Status Finish(grpc::ByteBuffer& response) {
    Operation finish;
    grpc::Status status;
    reader_->Finish(&response, &status, operations_.Begin(finish));
    operations_.Await(finish);
    return status;
  }

  const Trailers& trailers() const { return context_.GetServerTrailingMetadata(); }

 private:
  Canceller& canceller_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader_;
  Operations operations_;  // last: it ends before what gRPC works on
};

Error Cancelled(const std::string& request_id) {
  return MakeError(Error::Kind::kCancelled, StatusCode::CANCELLED, "the call was cancelled", request_id);
}

}  // namespace

void CallUnary(const std::shared_ptr<Connection>& connection, const char* method,
               const google::protobuf::Message& request, google::protobuf::Message& response,
               const CallOptions& options) {
  const ClientOptions& client = connection->options();
  const grpc::ByteBuffer packed = Serialized(request, client.max_message_bytes);
  CallSettings settings(*connection, options, client.timeout);
  Canceller canceller(settings.cancel(), connection->closing().token());
  while (true) {
    if (canceller.cancelled()) throw Cancelled(settings.request_id());
    UnaryAttempt attempt(*connection, method, packed, settings, canceller);
    grpc::ByteBuffer answer;
    const grpc::Status status = attempt.Finish(answer);
    if (status.ok()) return Parse(answer, response, settings.request_id());
    if (canceller.cancelled()) throw Cancelled(settings.request_id());
    const Failure failure =
        ReadFailure(status, attempt.trailers(), connection->address(), settings.request_id(), false);
    const auto delay = DelayBeforeRetry(client.retry, failure, settings.attempts(), settings.left());
    if (!delay) throw failure.error;
    if (!canceller.Sleep(*delay)) throw Cancelled(settings.request_id());
  }
}

}  // namespace trivium::detail
