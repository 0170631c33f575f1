#include "retry.h"

#include <gtest/gtest.h>

#include "scripted_server.h"

namespace trivium::detail {
namespace {

using testing::TriviumStatus;

double Low(double low, double) { return low; }
double High(double, double high) { return high; }

Failure FailureOf(const grpc::Status& status, std::optional<long long> pushback_ms = std::nullopt) {
  Failure failure = ReadFailure(status, {}, "host:1", "id", false);
  failure.pushback_ms = pushback_ms;
  return failure;
}

const grpc::Status kUnavailable(grpc::StatusCode::UNAVAILABLE, "no");

std::optional<double> Delay(const Failure& failure, int attempts, std::optional<Seconds> left, const Uniform& uniform) {
  const auto delay = DelayBeforeRetry({}, failure, attempts, left, uniform);
  return delay ? std::optional(delay->count()) : std::nullopt;
}

TEST(Retry, WaitsDoubleBetweenHalfAndAll) {
  const Failure failure = FailureOf(kUnavailable);
  EXPECT_DOUBLE_EQ(*Delay(failure, 1, {}, Low), 0.1);
  EXPECT_DOUBLE_EQ(*Delay(failure, 1, {}, High), 0.2);
  EXPECT_DOUBLE_EQ(*Delay(failure, 3, {}, High), 0.8);
  EXPECT_EQ(Delay(failure, 4, {}, High), std::nullopt);
  RetryPolicy patient;
  patient.max_attempts = 1000;
  EXPECT_DOUBLE_EQ(DelayBeforeRetry(patient, failure, 500, {}, High)->count(), 5);
}

TEST(Retry, OnlySomeFailuresAreSentAgain) {
  EXPECT_TRUE(Delay(FailureOf({grpc::StatusCode::INTERNAL, "Received RST_STREAM with error code 2"}), 1, {}, Low));
  EXPECT_TRUE(Delay(FailureOf({grpc::StatusCode::UNKNOWN, "Stream removed"}), 1, {}, Low));
  EXPECT_TRUE(Delay(FailureOf(TriviumStatus(grpc::StatusCode::UNAVAILABLE, "MODEL_NOT_READY")), 1, {}, Low));
  EXPECT_TRUE(Delay(FailureOf(TriviumStatus(grpc::StatusCode::RESOURCE_EXHAUSTED, "QUEUE_FULL", 1)), 1, {}, Low));
  EXPECT_FALSE(Delay(FailureOf(TriviumStatus(grpc::StatusCode::RESOURCE_EXHAUSTED, "QUEUE_FULL")), 1, {}, Low));
  EXPECT_FALSE(Delay(FailureOf({grpc::StatusCode::INTERNAL, "internal error"}), 1, {}, Low));
  EXPECT_FALSE(Delay(FailureOf({grpc::StatusCode::DEADLINE_EXCEEDED, "late"}), 1, {}, Low));
  EXPECT_FALSE(Delay(FailureOf({grpc::StatusCode::INTERNAL, "RST_STREAM",
                                TriviumStatus(grpc::StatusCode::INTERNAL, "INTERNAL").error_details()}),
                     1, {}, Low));
}

TEST(Retry, TlsThatCannotBeAgreedOnIsNotTriedAgain) {
  for (const char* words : {"CERTIFICATE_VERIFY_FAILED", "certificate verify failed", "WRONG_VERSION_NUMBER",
                            "Hostname Verification Check failed."})
    EXPECT_FALSE(Delay(FailureOf({grpc::StatusCode::UNAVAILABLE, words}), 1, {}, Low)) << words;
}

TEST(Retry, TheServersWishIsTheLeast) {
  const Failure failure = FailureOf(TriviumStatus(grpc::StatusCode::UNAVAILABLE, "MODEL_NOT_READY", 3));
  EXPECT_DOUBLE_EQ(*Delay(failure, 1, {}, Low), 3);
  EXPECT_DOUBLE_EQ(*Delay(failure, 1, {}, High), 3.6);
  const Failure soon = FailureOf(TriviumStatus(grpc::StatusCode::UNAVAILABLE, "MODEL_NOT_READY", 0.01));
  EXPECT_DOUBLE_EQ(*Delay(soon, 1, {}, Low), 0.1);
  EXPECT_FALSE(Delay(FailureOf(TriviumStatus(grpc::StatusCode::UNAVAILABLE, "MODEL_NOT_READY", 31)), 1, {}, Low));
}

TEST(Retry, APushbackDecidesAlone) {
  const grpc::Status wants_3_s = TriviumStatus(grpc::StatusCode::UNAVAILABLE, "MODEL_NOT_READY", 3);
  EXPECT_DOUBLE_EQ(*Delay(FailureOf(wants_3_s, 10), 1, {}, Low), 0.01);
  EXPECT_DOUBLE_EQ(*Delay(FailureOf(wants_3_s, 10), 1, {}, High), 0.012);
  EXPECT_FALSE(Delay(FailureOf(wants_3_s, -1), 1, {}, Low));
  EXPECT_FALSE(Delay(FailureOf(wants_3_s, 30'001), 1, {}, Low));
  EXPECT_FALSE(Delay(FailureOf({grpc::StatusCode::INTERNAL, "no"}, 10), 1, {}, Low));
}

TEST(Retry, NoWaitGoesPastTheDeadline) {
  EXPECT_TRUE(Delay(FailureOf(kUnavailable), 1, Seconds(0.11), Low));
  EXPECT_FALSE(Delay(FailureOf(kUnavailable), 1, Seconds(0.1), Low));
}

TEST(Retry, PoliciesThatCannotBeAreRefused) {
  RetryPolicy policy;
  policy.max_attempts = 0;
  EXPECT_EQ(testing::ErrorOf([&] { CheckPolicy(policy); }).kind(), Error::Kind::kInvalidCall);
  policy = {};
  policy.max_backoff = std::chrono::milliseconds(-1);
  EXPECT_EQ(testing::ErrorOf([&] { CheckPolicy(policy); }).kind(), Error::Kind::kInvalidCall);
}

}  // namespace
}  // namespace trivium::detail
