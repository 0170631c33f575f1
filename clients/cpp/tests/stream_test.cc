#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "scripted_server.h"

namespace trivium {
namespace {

using std::chrono::milliseconds;
using testing::Completed;
using testing::Conversation;
using testing::Delta;
using testing::ErrorOf;
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

// Sends an event, and then nothing until the caller gives up; tells whether it did.
struct Hanging {
  std::shared_ptr<std::promise<bool>> gave_up = std::make_shared<std::promise<bool>>();

  grpc::Status operator()(Conversation& call) const {
    call.Write(Started());
    gave_up->set_value(call.WaitForCancel());
    return grpc::Status::CANCELLED;
  }
};

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
  auto gave_up = std::make_shared<std::promise<bool>>();
  ScriptedServer server([gave_up](Conversation& call) {
    call.Write(Started());
    call.Write(Delta(2, "?"));
    gave_up->set_value(call.WaitForCancel());
    return grpc::Status::CANCELLED;
  });
  const Client client(OptionsFor(server));
  TextStream stream = Open(client);
  EXPECT_EQ(ErrorOf([&] { ReadAll(stream); }).kind(), Error::Kind::kTruncatedStream);
  EXPECT_TRUE(gave_up->get_future().get());
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
  const Hanging script;
  ScriptedServer server(script);
  ClientOptions options = OptionsFor(server);
  options.idle_timeout = milliseconds(200);
  const Client client(options);
  TextStream stream = Open(client);
  const Error error = ErrorOf([&] { ReadAll(stream); });
  EXPECT_EQ(error.kind(), Error::Kind::kStreamIdleTimeout);
  EXPECT_EQ(error.code(), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(script.gave_up->get_future().get());
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
  const Hanging script;
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
  const Hanging script;
  ScriptedServer server(script);
  const Client client(OptionsFor(server));
  {
    auto stream = client.text().StreamGenerate({});
    for (const auto& event : stream) {
      EXPECT_TRUE(event.has_started());
      break;
    }
  }
  EXPECT_TRUE(script.gave_up->get_future().get());
}

TEST(ServerStream, OneThatIsNeverReadEndsToo) {
  const Hanging script;
  ScriptedServer server(script);
  const Client client(OptionsFor(server));
  {
    const TextStream stream = Open(client);
    std::this_thread::sleep_for(milliseconds(200));
  }
  EXPECT_TRUE(script.gave_up->get_future().get());
}

TEST(ServerStream, CancelEndsItFromBeside) {
  const Hanging script;
  ScriptedServer server(script);
  const Client client(OptionsFor(server));
  TextStream stream = Open(client);
  std::thread beside([&] {
    std::this_thread::sleep_for(milliseconds(100));
    stream.Cancel();
  });
  EXPECT_EQ(ErrorOf([&] { ReadAll(stream); }).kind(), Error::Kind::kCancelled);
  beside.join();
  EXPECT_TRUE(script.gave_up->get_future().get());
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
  const Hanging script;
  ScriptedServer server(script);
  auto client = std::make_unique<Client>(OptionsFor(server));
  TextStream stream = Open(*client);
  v1::StreamGenerateResponse event;
  EXPECT_TRUE(stream.ReadEvent(event));
  client.reset();
  EXPECT_EQ(ErrorOf([&] { stream.ReadEvent(event); }).kind(), Error::Kind::kCancelled);
  EXPECT_TRUE(script.gave_up->get_future().get());
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
  ScriptedServer server([](Conversation&) { return kUnavailable; });
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
  ScriptedServer server([](Conversation& call) {
    call.Read<RecognizeRequest>();
    call.Write(Ready());
    EXPECT_TRUE(call.WaitForCancel());
    return grpc::Status::CANCELLED;
  });
  ClientOptions options = OptionsFor(server);
  options.idle_timeout = milliseconds(200);
  const Client client(options);
  auto stream = client.speech().StreamRecognize();
  stream.Write(SetupRequest());
  std::atomic<bool> half_closed = false;
  std::thread writer([&] {
    std::this_thread::sleep_for(milliseconds(600));  // three times the limit, while it is the caller's turn
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
