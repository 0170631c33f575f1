#include "status.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "scripted_server.h"

namespace trivium::detail {
namespace {

using testing::TriviumStatus;

Error Read(const grpc::Status& status, const Trailers& trailers = {}, bool answer_begun = false) {
  return ReadFailure(status, trailers, "host:1", "sent-id", answer_begun).error;
}

TEST(StatusDetails, EachIsRead) {
  google::rpc::Status packed;
  ASSERT_TRUE(packed.ParseFromString(
      TriviumStatus(grpc::StatusCode::INVALID_ARGUMENT, "INVALID_ARGUMENT_FIELD", 1.5).error_details()));
  google::rpc::BadRequest bad_request;
  auto* violation = bad_request.add_field_violations();
  violation->set_field("input.model");
  violation->set_description("is missing");
  packed.add_details()->PackFrom(bad_request);
  google::rpc::RequestInfo request;
  request.set_request_id("server-id");
  packed.add_details()->PackFrom(request);
  v1::Usage usage;
  usage.set_input_characters(7);
  const std::string usage_bytes = usage.SerializeAsString();

  const Error error = Read({grpc::StatusCode::INVALID_ARGUMENT, "bad", packed.SerializeAsString()},
                           {{"trivium-usage-bin", usage_bytes}});

  EXPECT_EQ(error.code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(error.reason(), "INVALID_ARGUMENT_FIELD");
  EXPECT_EQ(error.known_reason(), v1::ERROR_REASON_INVALID_ARGUMENT_FIELD);
  EXPECT_EQ(error.metadata().at("model"), "m");
  ASSERT_EQ(error.field_violations().size(), 1U);
  EXPECT_EQ(error.field_violations()[0].field, "input.model");
  EXPECT_EQ(error.field_violations()[0].description, "is missing");
  EXPECT_EQ(error.retry_after(), std::chrono::milliseconds(1500));
  EXPECT_EQ(error.request_id(), "server-id");
  ASSERT_TRUE(error.usage());
  EXPECT_EQ(error.usage()->input_characters(), 7);
  EXPECT_STREQ(error.what(), "bad (INVALID_ARGUMENT_FIELD, request server-id)");
}

TEST(StatusDetails, AnUnknownReasonIsKeptAsText) {
  const Error error = Read(TriviumStatus(grpc::StatusCode::NOT_FOUND, "SOMETHING_NEW"));
  EXPECT_EQ(error.reason(), "SOMETHING_NEW");
  EXPECT_EQ(error.known_reason(), v1::ERROR_REASON_UNSPECIFIED);
}

TEST(StatusDetails, AnotherDomainIsNoReason) {
  const Error error = Read(TriviumStatus(grpc::StatusCode::UNAVAILABLE, "OOPS", 0, "envoy.example"));
  EXPECT_EQ(error.reason(), "");
  EXPECT_TRUE(error.metadata().empty());
  EXPECT_EQ(error.kind(), Error::Kind::kServerUnavailable);
}

TEST(StatusDetails, WhatCannotBeReadHidesNothing) {
  const Error error = Read({grpc::StatusCode::NOT_FOUND, "gone", "\xff\xff"}, {{"trivium-usage-bin", "\xff"}});
  EXPECT_EQ(error.code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(error.message(), "gone");
  EXPECT_EQ(error.request_id(), "sent-id");
  EXPECT_FALSE(error.usage());
}

TEST(StatusDetails, TransportLossDependsOnWhatHadArrived) {
  const grpc::Status reset(grpc::StatusCode::INTERNAL, "Received RST_STREAM with error code 2");
  EXPECT_EQ(Read(reset).kind(), Error::Kind::kServerUnavailable);
  EXPECT_EQ(Read(reset).code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(Read(reset, {}, true).kind(), Error::Kind::kConnectionLost);
  EXPECT_EQ(Read(reset, {}, true).code(), StatusCode::INTERNAL);
  EXPECT_EQ(Read({grpc::StatusCode::INTERNAL, "internal error"}).kind(), Error::Kind::kNone);
  EXPECT_EQ(Read(TriviumStatus(grpc::StatusCode::UNAVAILABLE, "SERVER_DRAINING")).kind(), Error::Kind::kNone);
}

TEST(StatusDetails, ADelayOfAgesIsLongAndDoesNotOverflow) {
  google::rpc::Status packed;
  google::rpc::RetryInfo retry;
  for (const std::int64_t seconds : {std::int64_t{315'576'000'000}, std::numeric_limits<std::int64_t>::max()}) {
    retry.mutable_retry_delay()->set_seconds(seconds);
    packed.clear_details();
    packed.add_details()->PackFrom(retry);
    const Error error = Read({grpc::StatusCode::UNAVAILABLE, "later", packed.SerializeAsString()});
    EXPECT_GT(*error.retry_after(), std::chrono::hours(24 * 365));
  }
}

TEST(StatusDetails, WhatGrpcSaysOfCommonTroubleIsSaidInOurTerms) {
  EXPECT_EQ(Read({grpc::StatusCode::UNAVAILABLE, "failed to connect: Connection refused"}).message(),
            "no server listens at host:1; `trivium serve` starts one");
  EXPECT_EQ(Read({grpc::StatusCode::DEADLINE_EXCEEDED, "Deadline Exceeded"}).message(),
            "the deadline of the call passed");
}

TEST(StatusDetails, PushbackIsANumberOrForbids) {
  const auto pushback = [](const char* text) {
    return ReadFailure({grpc::StatusCode::UNAVAILABLE, ""}, {{"grpc-retry-pushback-ms", text}}, "host:1", "", false)
        .pushback_ms;
  };
  EXPECT_EQ(pushback("250"), 250);
  EXPECT_EQ(pushback("-5"), -5);
  for (const char* text : {"", "soon", "1.5", "12 "}) EXPECT_EQ(pushback(text), -1) << text;
}

TEST(StatusDetails, AnItemsStatusIsAnErrorToo) {
  google::rpc::Status status;
  ASSERT_TRUE(
      status.ParseFromString(TriviumStatus(grpc::StatusCode::INVALID_ARGUMENT, "INPUT_TOO_LONG").error_details()));
  const Error error = Error::OfItem(status, "call-id");
  EXPECT_EQ(error.code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(error.reason(), "INPUT_TOO_LONG");
  EXPECT_EQ(error.request_id(), "call-id");
}

}  // namespace
}  // namespace trivium::detail
