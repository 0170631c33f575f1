#include "stream_attempt.h"

namespace trivium::detail {

StreamAttempt::StreamAttempt(Connection& connection, const char* method, CallSettings& settings, Canceller& canceller)
    : canceller_(canceller) {
  settings.BeginAttempt(context_);
  context_.set_initial_metadata_corked(true);  // goes with the first request
  canceller_.Attach(&context_);
  stream_ = connection.stub().PrepareCall(&context_, method, operations_.queue());
  stream_->StartCall(nullptr);  // begins nothing, being corked
}

StreamAttempt::~StreamAttempt() {
  canceller_.Attach(nullptr);
  Cancel();
}

void StreamAttempt::Send(const grpc::ByteBuffer& request) {
  stream_->Write(request, grpc::WriteOptions().set_last_message(), operations_.Begin(write_));
}

bool StreamAttempt::Write(const grpc::ByteBuffer& request) {
  stream_->Write(request, operations_.Begin(write_));
  return operations_.Await(write_).value();
}

bool StreamAttempt::WritesDone() {
  stream_->WritesDone(operations_.Begin(write_));
  return operations_.Await(write_).value();
}

StreamAttempt::Got StreamAttempt::Read(grpc::ByteBuffer& response, const Operations::Limit& limit) {
  stream_->Read(&incoming_, operations_.Begin(read_));
  const auto has_message = operations_.Await(read_, limit);
  if (!has_message) return Got::kNothingInTime;
  if (!*has_message) return Got::kEnd;
  response.Swap(&incoming_);
  return Got::kMessage;
}

grpc::Status StreamAttempt::Finish() {
  grpc::Status status;
  Operation finish;
  stream_->Finish(&status, operations_.Begin(finish));
  operations_.Await(finish);
  return status;
}

}  // namespace trivium::detail
