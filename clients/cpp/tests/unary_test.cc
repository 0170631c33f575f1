#include <gtest/gtest.h>

#include <thread>

#include "scripted_server.h"

namespace trivium {
namespace {

using std::chrono::milliseconds;
using testing::Conversation;
using testing::ErrorOf;
using testing::Hanging;
using testing::OptionsFor;
using testing::ScriptedServer;
using testing::TriviumStatus;

grpc::Status Five(Conversation& call) {
  v1::CountTokensResponse response;
  response.set_token_count(5);
  call.Write(response);
  return grpc::Status::OK;
}

ScriptedServer::Script Failing(grpc::Status status) {
  return [status](Conversation&) { return status; };
}

v1::CountTokensRequest Request() {
  v1::CountTokensRequest request;
  *request.mutable_input() = Continuation("m", "Once");
  return request;
}

TEST(UnaryCall, SaysWhoCallsAndGivesTheAnswer) {
  ScriptedServer server([](Conversation& call) {
    EXPECT_EQ(call.method(), "/trivium.v1.TextGenerationService/CountTokens");
    EXPECT_EQ(call.metadata("x-request-id"), "my-id");
    EXPECT_EQ(call.metadata("trivium-client"), "trivium-cpp/" TRIVIUM_VERSION " cpp/17");
    EXPECT_EQ(call.metadata("user-agent").rfind("trivium-cpp/" TRIVIUM_VERSION, 0), 0U);
    EXPECT_EQ(call.metadata("authorization"), "Bearer secret");
    EXPECT_EQ(call.metadata("team"), "call");
    EXPECT_EQ(call.metadata("trace-bin"), std::string("\0\xff", 2));
    EXPECT_NEAR(call.time_given().count(), 60, 5);
    EXPECT_EQ(call.Read<v1::CountTokensRequest>()->input().text(), "Once");
    return Five(call);
  });
  ClientOptions options = OptionsFor(server);
  options.token = "secret";
  options.metadata = {{"team", "client"}, {"trace-bin", std::string("\0\xff", 2)}};
  const Client client(options);
  CallReport report;
  CallOptions call;
  call.request_id = "my-id";
  call.metadata = {{"Team", "call"}};
  call.report = &report;
  EXPECT_EQ(client.text().CountTokens(Request(), call).token_count(), 5);
  EXPECT_EQ(report.request_id, "my-id");
  EXPECT_EQ(report.attempts, 1);
}

TEST(UnaryCall, IsSentAgainWithTheSameIdWhileItIsUnavailable) {
  const auto unavailable = [](Conversation& call) {
    EXPECT_EQ(call.metadata("x-request-id"), "my-id");
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "not now");
  };
  ScriptedServer server({unavailable, unavailable, Five});
  const Client client(OptionsFor(server));
  CallReport report;
  CallOptions call;
  call.request_id = "my-id";
  call.report = &report;
  EXPECT_EQ(client.text().CountTokens(Request(), call).token_count(), 5);
  EXPECT_EQ(report.attempts, 3);
  EXPECT_EQ(server.call_count(), 3);
}

TEST(UnaryCall, FailsAfterTheLastAttempt) {
  ScriptedServer server(Failing({grpc::StatusCode::UNAVAILABLE, "not now"}));
  ClientOptions options = OptionsFor(server);
  options.retry.max_attempts = 2;
  const Client client(options);
  const Error error = ErrorOf([&] { client.text().CountTokens(Request()); });
  EXPECT_EQ(error.kind(), Error::Kind::kServerUnavailable);
  EXPECT_EQ(server.call_count(), 2);
}

TEST(UnaryCall, WhatTheServerRefusesIsNotSentAgain) {
  ScriptedServer server(Failing(TriviumStatus(grpc::StatusCode::NOT_FOUND, "MODEL_NOT_FOUND")));
  const Client client(OptionsFor(server));
  const Error error = ErrorOf([&] { client.text().CountTokens(Request()); });
  EXPECT_EQ(error.code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(error.known_reason(), v1::ERROR_REASON_MODEL_NOT_FOUND);
  EXPECT_EQ(error.kind(), Error::Kind::kNone);
  EXPECT_EQ(server.call_count(), 1);
}

TEST(UnaryCall, ItsDeadlineEndsItAtBothSides) {
  const Hanging script;
  ScriptedServer server(testing::AfterGreeting(script));
  const Client client(OptionsFor(server));
  testing::Greet(client);
  CallOptions call;
  call.timeout = milliseconds(200);
  const Error error = ErrorOf([&] { client.text().CountTokens(Request(), call); });
  EXPECT_EQ(error.code(), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(error.reason(), "");
  EXPECT_EQ(error.message(), "the deadline of the call passed");
  EXPECT_TRUE(script.was_given_up());
}

TEST(UnaryCall, ItsTokenEndsItFromBeside) {
  const Hanging script;
  ScriptedServer server(script);
  const Client client(OptionsFor(server));
  const CancelSource source;
  std::thread beside([&] {
    script.WaitForCall();
    source.Cancel();
  });
  CallOptions call;
  call.cancel = source.token();
  EXPECT_EQ(ErrorOf([&] { client.text().CountTokens(Request(), call); }).kind(), Error::Kind::kCancelled);
  beside.join();
  EXPECT_EQ(ErrorOf([&] { client.text().CountTokens(Request(), call); }).kind(), Error::Kind::kCancelled);
  EXPECT_EQ(server.call_count(), 1);
}

TEST(UnaryCall, AWaitBetweenAttemptsIsCancelledToo) {
  ScriptedServer server(Failing(TriviumStatus(grpc::StatusCode::UNAVAILABLE, "MODEL_NOT_READY", 20)));
  const Client client(OptionsFor(server));
  const CancelSource source;
  std::thread beside([&] {
    std::this_thread::sleep_for(milliseconds(200));
    source.Cancel();
  });
  CallOptions call;
  call.cancel = source.token();
  const auto begun_at = std::chrono::steady_clock::now();
  EXPECT_EQ(ErrorOf([&] { client.text().CountTokens(Request(), call); }).kind(), Error::Kind::kCancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - begun_at, std::chrono::seconds(10));
  beside.join();
}

TEST(UnaryCall, TheEndOfTheClientEndsIt) {
  const Hanging script;
  ScriptedServer server(script);
  Client client(OptionsFor(server));
  const TextClient text = client.text();
  std::thread beside([&] {
    script.WaitForCall();
    client.Close();
  });
  EXPECT_EQ(ErrorOf([&] { text.CountTokens(Request()); }).kind(), Error::Kind::kCancelled);
  beside.join();
  EXPECT_EQ(ErrorOf([&] { text.CountTokens(Request()); }).kind(), Error::Kind::kCancelled);
  EXPECT_EQ(server.call_count(), 1);
}

TEST(UnaryCall, ARequestThatIsTooLargeIsNotSent) {
  ScriptedServer server(Five);
  ClientOptions options = OptionsFor(server);
  options.max_message_bytes = 1000;
  const Client client(options);
  v1::CountTokensRequest request;
  request.mutable_input()->set_text(std::string(1000, 'x'));
  EXPECT_EQ(ErrorOf([&] { client.text().CountTokens(request); }).kind(), Error::Kind::kInvalidCall);
  EXPECT_EQ(server.call_count(), 0);
}

TEST(UnaryCall, AResponseThatCannotBeReadIsInternal) {
  ScriptedServer server([](Conversation& call) {
    call.WriteBytes("\xff");
    return grpc::Status::OK;
  });
  const Client client(OptionsFor(server));
  CallOptions call;
  call.request_id = "my-id";
  const Error error = ErrorOf([&] { client.text().CountTokens(Request(), call); });
  EXPECT_EQ(error.code(), StatusCode::INTERNAL);
  EXPECT_EQ(error.request_id(), "my-id");
  EXPECT_EQ(server.call_count(), 1);
}

TEST(UnaryCall, NothingThatListensIsUnavailable) {
  ClientOptions options;
  {
    ScriptedServer gone(Five);
    options = OptionsFor(gone);
  }
  options.retry.max_attempts = 2;
  const Client client(options);
  const Error error = ErrorOf([&] { client.text().CountTokens(Request()); });
  EXPECT_EQ(error.kind(), Error::Kind::kServerUnavailable);
  EXPECT_EQ(error.code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(error.message(), "no server listens at " + options.target + "; `trivium serve` starts one");
}

TEST(ClientOptions, WhatCannotBeIsRefused) {
  const auto refused = [](const ClientOptions& options) {
    return ErrorOf([&] { const Client client(options); }).kind() == Error::Kind::kInvalidCall;
  };
  ClientOptions options;
  options.target = "https://localhost:1";
  options.tls = false;
  EXPECT_TRUE(refused(options));
  options = {};
  options.tls = Tls{"", "certificate without a key", "", ""};
  EXPECT_TRUE(refused(options));
  options = {};
  options.timeout = milliseconds(0);
  EXPECT_TRUE(refused(options));
  options = {};
  options.idle_timeout = milliseconds(-1);
  EXPECT_TRUE(refused(options));
}

TEST(Health, TellsWhatTheServerSays) {
  ScriptedServer server([](Conversation& call) {
    EXPECT_EQ(call.method(), "/grpc.health.v1.Health/Check");
    EXPECT_EQ(call.Read<google::protobuf::StringValue>()->value(), "model/m");
    google::protobuf::Int32Value state;
    state.set_value(1);
    call.Write(state);
    return grpc::Status::OK;
  });
  const Client client(OptionsFor(server));
  EXPECT_EQ(client.health().Check("model/m"), ServingStatus::kServing);
}

TEST(Embeddings, TextsBecomeVectorsOrAnError) {
  ScriptedServer server([](Conversation& call) {
    const auto request = call.Read<v1::EmbedRequest>();
    v1::EmbedResponse response;
    for (const auto& item : request->items()) {
      auto* result = response.add_results();
      if (item.text().empty()) {
        result->mutable_error()->set_code(3);
      } else {
        result->mutable_embedding()->mutable_dense()->add_values(static_cast<float>(item.text().size()));
      }
    }
    call.Write(response);
    return grpc::Status::OK;
  });
  const Client client(OptionsFor(server));
  const auto vectors = client.embeddings().Embed("m", {"a", "bcd"});
  EXPECT_EQ(vectors, (std::vector<std::vector<float>>{{1}, {3}}));
  const Error error = ErrorOf([&] { client.embeddings().Embed("m", {"a", ""}); });
  EXPECT_EQ(error.code(), StatusCode::INVALID_ARGUMENT);
}

}  // namespace
}  // namespace trivium
