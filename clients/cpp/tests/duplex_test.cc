#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "scripted_server.h"

namespace trivium {
namespace {

using std::chrono::milliseconds;
using testing::Conversation;
using testing::ErrorOf;
using testing::OptionsFor;
using testing::ScriptedServer;
using testing::TriviumStatus;

using RecognizeRequest = v1::StreamRecognizeRequest;
using RecognizeResponse = v1::StreamRecognizeResponse;

RecognizeResponse Ready() {
  RecognizeResponse event;
  event.mutable_ready();
  return event;
}

RecognizeResponse Transcript(std::int64_t sequence) {
  RecognizeResponse event;
  event.set_sequence(sequence);
  event.mutable_transcript();
  return event;
}

RecognizeResponse Done(std::int64_t sequence) {
  RecognizeResponse event;
  event.set_sequence(sequence);
  event.mutable_completed();
  return event;
}

RecognizeRequest SetupRequest() {
  RecognizeRequest request;
  request.mutable_setup();
  return request;
}

RecognizeRequest Audio(const std::string& bytes) {
  RecognizeRequest request;
  request.set_audio(bytes);
  return request;
}

TEST(DuplexStream, OneThreadWritesWhileAnotherReads) {
  constexpr int kRounds = 500;
  ScriptedServer server([](Conversation& call) {
    call.Read<RecognizeRequest>();
    call.Write(Ready());
    std::int64_t sequence = 0;
    while (call.Read<RecognizeRequest>()) call.Write(Transcript(++sequence));
    call.Write(Done(++sequence));
    return grpc::Status::OK;
  });
  const Client client(OptionsFor(server));
  auto stream = client.speech().StreamRecognize();
  EXPECT_TRUE(stream.Write(SetupRequest()));
  std::thread writer([&] {
    for (int i = 0; i < kRounds; ++i) EXPECT_TRUE(stream.Write(Audio(std::string(3200, 'x'))));
    stream.WritesDone();
    stream.WritesDone();
    EXPECT_FALSE(stream.Write(Audio("late")));
  });
  int transcripts = 0;
  for (const auto& event : stream) transcripts += event.has_transcript() ? 1 : 0;
  writer.join();
  EXPECT_EQ(transcripts, kRounds);
}

TEST(DuplexStream, AFailureStopsItsWriterAndIsRead) {
  ScriptedServer server([](Conversation& call) {
    call.Read<RecognizeRequest>();
    return TriviumStatus(grpc::StatusCode::NOT_FOUND, "MODEL_NOT_FOUND");
  });
  const Client client(OptionsFor(server));
  auto stream = client.speech().StreamRecognize();
  stream.Write(SetupRequest());
  while (stream.Write(Audio("1234"))) std::this_thread::sleep_for(milliseconds(5));
  RecognizeResponse event;
  EXPECT_EQ(ErrorOf([&] { stream.Read(event); }).reason(), "MODEL_NOT_FOUND");
  stream.WritesDone();
  EXPECT_EQ(server.call_count(), 1);
}

TEST(DuplexStream, IsNotSentAgain) {
  ScriptedServer server([](Conversation&) { return grpc::Status(grpc::StatusCode::UNAVAILABLE, "not now"); });
  const Client client(OptionsFor(server));
  auto stream = client.speech().StreamRecognize();
  stream.Write(SetupRequest());
  RecognizeResponse event;
  EXPECT_EQ(ErrorOf([&] { stream.Read(event); }).kind(), Error::Kind::kServerUnavailable);
  EXPECT_EQ(server.call_count(), 1);
}

TEST(DuplexStream, AWriteThatTheServerDoesNotTakeEndsWithCancel) {
  ScriptedServer server([](Conversation& call) {
    EXPECT_TRUE(call.WaitForCancel());
    return grpc::Status::CANCELLED;
  });
  const Client client(OptionsFor(server));
  auto stream = client.speech().StreamRecognize();
  std::thread beside([&] {
    std::this_thread::sleep_for(milliseconds(300));
    stream.Cancel();
  });
  const RecognizeRequest large = Audio(std::string(1'000'000, 'x'));
  while (stream.Write(large)) {
  }
  beside.join();
  RecognizeResponse event;
  EXPECT_EQ(ErrorOf([&] { stream.Read(event); }).kind(), Error::Kind::kCancelled);
}

TEST(DuplexStream, SilenceCountsWhereTheServerOwesSomething) {
  ScriptedServer server(testing::AfterGreeting([](Conversation& call) {
    call.Read<RecognizeRequest>();
    call.Write(Ready());
    EXPECT_TRUE(call.WaitForCancel());
    return grpc::Status::CANCELLED;
  }));
  ClientOptions options = OptionsFor(server);
  options.idle_timeout = milliseconds(300);
  const Client client(options);
  testing::Greet(client);
  auto stream = client.speech().StreamRecognize();
  stream.Write(SetupRequest());
  std::atomic<bool> half_closed = false;
  std::thread writer([&] {
    std::this_thread::sleep_for(milliseconds(900));  // three times the limit, while it is the caller's turn
    half_closed = true;
    stream.WritesDone();
  });
  RecognizeResponse event;
  EXPECT_TRUE(stream.Read(event));
  EXPECT_EQ(ErrorOf([&] { stream.Read(event); }).kind(), Error::Kind::kStreamIdleTimeout);
  EXPECT_TRUE(half_closed);
  writer.join();
}

TEST(DuplexStream, SilenceBeforeTheFirstEventCounts) {
  ScriptedServer server([](Conversation& call) {
    EXPECT_TRUE(call.WaitForCancel());
    return grpc::Status::CANCELLED;
  });
  ClientOptions options = OptionsFor(server);
  options.idle_timeout = milliseconds(200);
  const Client client(options);
  auto stream = client.speech().StreamRecognize();
  stream.Write(SetupRequest());
  RecognizeResponse event;
  EXPECT_EQ(ErrorOf([&] { stream.Read(event); }).kind(), Error::Kind::kStreamIdleTimeout);
}

TEST(DuplexStream, OneThatWasNeverUsedEnds) {
  ScriptedServer server([](Conversation&) { return grpc::Status::OK; });
  const Client client(OptionsFor(server));
  { const auto unused = client.speech().StreamRecognize(); }
  auto cancelled = client.speech().StreamRecognize();
  cancelled.Cancel();
  EXPECT_FALSE(cancelled.Write(SetupRequest()));
  RecognizeResponse event;
  EXPECT_EQ(ErrorOf([&] { cancelled.Read(event); }).kind(), Error::Kind::kCancelled);
  EXPECT_EQ(server.call_count(), 0);
}

}  // namespace
}  // namespace trivium
