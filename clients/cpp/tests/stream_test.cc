#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "scripted_server.h"

namespace trivium {
namespace {

using std::chrono::milliseconds;
using testing::Completed;
using testing::Conversation;
using testing::Delta;
using testing::ErrorOf;
using testing::Hanging;
using testing::OptionsFor;
using testing::ScriptedServer;
using testing::Started;
using testing::TriviumStatus;

const grpc::Status kUnavailable(grpc::StatusCode::UNAVAILABLE, "not now");

// Sends these events, then ends with this status.
ScriptedServer::Script Sending(std::vector<v1::StreamGenerateResponse> events, grpc::Status status = {}) {
  return [events = std::move(events), status](Conversation& call) {
    for (const auto& event : events) call.Write(event);
    return status;
  };
}

TextStream Open(const Client& client, const CallOptions& options = {}) {
  return client.text().StreamText(Prompt("m", "Hi"), options);
}

std::string ReadAll(TextStream& stream) {
  std::string text;
  for (const std::string& piece : stream) text += piece;
  return text;
}

TEST(ServerStream, GivesItsTextAndItsEnd) {
  ScriptedServer server([](Conversation& call) {
    EXPECT_EQ(call.Read<v1::StreamGenerateRequest>()->input().model(), "m");
    EXPECT_FALSE(call.Read<v1::StreamGenerateRequest>());
    EXPECT_GT(call.time_given(), std::chrono::hours(1));  // no deadline
    v1::StreamGenerateResponse other = Delta(2, "other candidate");
    other.mutable_delta()->set_candidate_index(1);
    v1::StreamGenerateResponse unknown;
    unknown.set_sequence(4);
    return Sending({Started(), Delta(1, "Good"), other, Delta(3, ""), unknown, Delta(5, " day"), Completed(6)})(call);
  });
  const Client client(OptionsFor(server));
  TextStream stream = Open(client);
  EXPECT_EQ(ReadAll(stream), "Good day");
  EXPECT_EQ(stream.text(), "Good day");
  EXPECT_EQ(stream.info().usage().tokens().output_tokens(), 6);
}

TEST(ServerStream, IsAnInputRange) {
  ScriptedServer server(Sending({Started(), Delta(1, "a"), Delta(2, "b"), Completed(3)}));
  const Client client(OptionsFor(server));
  TextStream stream = Open(client);
  auto place = stream.begin();
  EXPECT_EQ(*place++, "a");
  EXPECT_EQ(*place, "b");
  EXPECT_NE(place, stream.end());
  EXPECT_EQ(++place, stream.end());
}

TEST(ServerStream, IsSentAgainBeforeItsFirstEventOnly) {
  ScriptedServer early({Sending({}, kUnavailable), Sending({}, kUnavailable), Sending({Started(), Completed(1)})});
  const Client client(OptionsFor(early));
  TextStream stream = Open(client);
  EXPECT_EQ(ReadAll(stream), "");
  EXPECT_EQ(early.call_count(), 3);

  ScriptedServer late(Sending({Started(), Delta(1, "Go")}, kUnavailable));
  const Client other(OptionsFor(late));
  TextStream lost = Open(other);
  const Error error = ErrorOf([&] { ReadAll(lost); });
  EXPECT_EQ(error.kind(), Error::Kind::kConnectionLost);
  EXPECT_EQ(error.request_id(), lost.request_id());
  EXPECT_EQ(lost.text(), "Go");
  EXPECT_EQ(late.call_count(), 1);
}

TEST(ServerStream, WithoutItsTerminalEventIsTruncated) {
  ScriptedServer server(Sending({Started(), Delta(1, "Go")}));
  const Client client(OptionsFor(server));
  TextStream stream = Open(client);
  EXPECT_EQ(ErrorOf([&] { ReadAll(stream); }).kind(), Error::Kind::kTruncatedStream);
  EXPECT_EQ(ErrorOf([&] { ReadAll(stream); }).kind(), Error::Kind::kTruncatedStream);  // and says so again
}

TEST(ServerStream, WithAGapIsTruncatedAndEndsAtTheServer) {
  const Hanging script(Delta(1, "where 0 is missing"));
  ScriptedServer server(script);
  const Client client(OptionsFor(server));
  TextStream stream = Open(client);
  EXPECT_EQ(ErrorOf([&] { ReadAll(stream); }).kind(), Error::Kind::kTruncatedStream);
  EXPECT_TRUE(script.was_given_up());
}

TEST(ServerStream, AnErrorAfterTheTerminalEventTakesNothingAway) {
  ScriptedServer server(Sending({Started(), Completed(1)}, TriviumStatus(grpc::StatusCode::INTERNAL, "INTERNAL")));
  const Client client(OptionsFor(server));
  TextStream stream = Open(client);
  EXPECT_NO_THROW(ReadAll(stream));
}

TEST(ServerStream, FailsAsTheServerSays) {
  ScriptedServer server([](Conversation& call) {
    call.Write(Started());
    v1::Usage usage;
    usage.mutable_tokens()->set_input_tokens(7);
    call.AddTrailer("trivium-usage-bin", usage.SerializeAsString());
    return TriviumStatus(grpc::StatusCode::ABORTED, "CALL_ABORTED");
  });
  const Client client(OptionsFor(server));
  TextStream stream = Open(client);
  const Error error = ErrorOf([&] { ReadAll(stream); });
  EXPECT_EQ(error.known_reason(), v1::ERROR_REASON_CALL_ABORTED);
  EXPECT_EQ(error.usage()->tokens().input_tokens(), 7);
}

TEST(ServerStream, SilenceForTheIdleTimeoutEndsIt) {
  const Hanging script(Started());
  ScriptedServer server(testing::AfterGreeting(script));
  ClientOptions options = OptionsFor(server);
  options.idle_timeout = milliseconds(300);
  const Client client(options);
  testing::Greet(client);
  TextStream stream = Open(client);
  const Error error = ErrorOf([&] { ReadAll(stream); });
  EXPECT_EQ(error.kind(), Error::Kind::kStreamIdleTimeout);
  EXPECT_EQ(error.code(), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(script.was_given_up());
}

TEST(ServerStream, OneThatMayBeSilentHasNoIdleTimeoutByDefault) {
  ScriptedServer server([](Conversation& call) {
    v1::WatchModelsResponse event;
    event.mutable_snapshot_end();
    call.Write(event);
    std::this_thread::sleep_for(milliseconds(300));
    call.Write(event);
    EXPECT_TRUE(call.WaitForCancel());
    return grpc::Status::CANCELLED;
  });
  ClientOptions options = OptionsFor(server);
  options.idle_timeout = milliseconds(100);
  const Client client(options);
  auto stream = client.models().WatchModels();
  v1::WatchModelsResponse event;
  EXPECT_TRUE(stream.Read(event));
  EXPECT_TRUE(stream.Read(event));
}

TEST(ServerStream, ItsDeadlineEndsIt) {
  const Hanging script(Started());
  ScriptedServer server(script);
  const Client client(OptionsFor(server));
  CallOptions options;
  options.timeout = milliseconds(200);
  TextStream stream = Open(client, options);
  const Error error = ErrorOf([&] { ReadAll(stream); });
  EXPECT_EQ(error.code(), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(error.kind(), Error::Kind::kNone);
}

TEST(ServerStream, LeavingItsScopeEndsItAtTheServer) {
  const Hanging script(Started());
  ScriptedServer server(script);
  const Client client(OptionsFor(server));
  {
    auto stream = client.text().StreamGenerate({});
    for (const auto& event : stream) {
      EXPECT_TRUE(event.has_started());
      break;
    }
  }
  EXPECT_TRUE(script.was_given_up());
}

TEST(ServerStream, OneThatIsNeverReadEndsToo) {
  const Hanging script(Started());
  ScriptedServer server(script);
  const Client client(OptionsFor(server));
  {
    const TextStream stream = Open(client);
    script.WaitForCall();
  }
  EXPECT_TRUE(script.was_given_up());
}

TEST(ServerStream, CancelEndsItFromBeside) {
  const Hanging script(Started());
  ScriptedServer server(script);
  const Client client(OptionsFor(server));
  TextStream stream = Open(client);
  std::thread beside([&] {
    script.WaitForCall();
    stream.Cancel();
  });
  EXPECT_EQ(ErrorOf([&] { ReadAll(stream); }).kind(), Error::Kind::kCancelled);
  beside.join();
  EXPECT_TRUE(script.was_given_up());
}

TEST(ServerStream, ACancelledTokenSendsNothing) {
  ScriptedServer server(Sending({Started(), Completed(1)}));
  const Client client(OptionsFor(server));
  const CancelSource source;
  source.Cancel();
  CallOptions options;
  options.cancel = source.token();
  TextStream stream = Open(client, options);
  EXPECT_EQ(ErrorOf([&] { ReadAll(stream); }).kind(), Error::Kind::kCancelled);
  EXPECT_EQ(server.call_count(), 0);
}

TEST(ServerStream, OutlivesItsClientCancelled) {
  const Hanging script(Started());
  ScriptedServer server(script);
  auto client = std::make_unique<Client>(OptionsFor(server));
  TextStream stream = Open(*client);
  v1::StreamGenerateResponse event;
  EXPECT_TRUE(stream.ReadEvent(event));
  client.reset();
  EXPECT_EQ(ErrorOf([&] { stream.ReadEvent(event); }).kind(), Error::Kind::kCancelled);
  EXPECT_TRUE(script.was_given_up());
}

TEST(ServerStream, AServerThatDiesIsALostConnection) {
  auto server = std::make_unique<ScriptedServer>([](Conversation& call) {
    call.Write(Started());
    call.WaitForCancel();
    return kUnavailable;
  });
  const Client client(OptionsFor(*server));
  TextStream stream = Open(client);
  v1::StreamGenerateResponse event;
  EXPECT_TRUE(stream.ReadEvent(event));
  server.reset();
  const Error error = ErrorOf([&] { stream.ReadEvent(event); });
  EXPECT_EQ(error.kind(), Error::Kind::kConnectionLost) << error.what();
}

TEST(ServerStream, SixtyFourRunAtOnce) {
  ScriptedServer server([](Conversation& call) {
    call.Write(Started());
    for (int i = 1; i <= 50; ++i) call.Write(Delta(i, "x"));
    call.Write(Completed(51));
    return grpc::Status::OK;
  });
  const Client client(OptionsFor(server));
  std::atomic<int> whole = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 64; ++i)
    readers.emplace_back([&] {
      TextStream stream = Open(client);
      if (ReadAll(stream) == std::string(50, 'x')) ++whole;
    });
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(whole, 64);
}

}  // namespace
}  // namespace trivium
