#include "server.h"

#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>

#include "trivium/v1/generation.grpc.pb.h"

namespace {

using namespace trivium::v1;

// The events of an answer of so many tokens.
class Answer : public grpc::ServerWriteReactor<StreamGenerateResponse> {
 public:
  explicit Answer(std::int64_t token_count) : token_count_(token_count) {
    event_.mutable_started();
    StartWrite(&event_);
  }

  void OnWriteDone(bool ok) override {
    if (!ok || event_.has_completed()) return Finish(grpc::Status::OK);
    const std::int64_t sequence = event_.sequence() + 1;
    event_.set_sequence(sequence);
    if (sequence <= token_count_) {
      event_.mutable_delta()->set_text(" token");
      event_.mutable_delta()->set_token_count(1);
    } else {
      event_.mutable_completed();
    }
    StartWrite(&event_);
  }

  void OnDone() override { delete this; }

 private:
  std::int64_t token_count_;
  StreamGenerateResponse event_;
};

class Service : public TextGenerationService::CallbackService {
  grpc::ServerUnaryReactor* CountTokens(grpc::CallbackServerContext* context, const CountTokensRequest*,
                                        CountTokensResponse* response) override {
    response->set_token_count(5);
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerWriteReactor<StreamGenerateResponse>* StreamGenerate(grpc::CallbackServerContext*,
                                                                   const StreamGenerateRequest* request) override {
    return new Answer(request->input().sampling().max_output_tokens());
  }
};

[[noreturn]] void Serve(int tell) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  Service service;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  if (write(tell, &port, sizeof(port)) != sizeof(port)) _exit(1);
  server->Wait();
  _exit(0);
}

}  // namespace

BenchServer::BenchServer() {
  int ends[2];
  if (pipe(ends) != 0 || (process_ = fork()) < 0) throw std::runtime_error("no process for the server");
  if (process_ == 0) Serve(ends[1]);
  int port = 0;
  const bool is_told = read(ends[0], &port, sizeof(port)) == sizeof(port);
  close(ends[0]);
  close(ends[1]);
  if (!is_told || port == 0) throw std::runtime_error("the server did not start");
  target_ = "127.0.0.1:" + std::to_string(port);
}

BenchServer::~BenchServer() {
  kill(process_, SIGTERM);
  waitpid(process_, nullptr, 0);
}
