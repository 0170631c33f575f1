#include "target.h"

#include <gtest/gtest.h>

#include "scripted_server.h"

namespace trivium::detail {
namespace {

TEST(Target, UrlsSayWhetherTheyAreEncrypted) {
  EXPECT_EQ(ParseTarget("localhost:50051").address, "localhost:50051");
  EXPECT_EQ(ParseTarget("localhost:50051").is_encrypted, std::nullopt);
  EXPECT_EQ(ParseTarget("http://localhost:80/").address, "localhost:80");
  EXPECT_EQ(ParseTarget("http://localhost:80").is_encrypted, false);
  EXPECT_EQ(ParseTarget("https://trivium.example").address, "trivium.example:443");
  EXPECT_EQ(ParseTarget("https://[::1]").address, "[::1]:443");
  EXPECT_EQ(ParseTarget("https://trivium.example:8443").is_encrypted, true);
}

TEST(Target, SchemesOfGrpcPassAsTheyAre) {
  for (const char* target : {"dns:///trivium.example:50051", "unix:/run/trivium.sock", "ipv6:[::1]:50051"})
    EXPECT_EQ(ParseTarget(target).address, target);
}

TEST(Target, WhatIsNoTargetIsRefused) {
  for (const char* target :
       {"", "localhost", "localhost:", "localhost:0", "localhost:65536", "localhost:http", ":50051", "::1",
        "http://localhost", "http://localhost:80/path", "https://", "user@localhost:50051", "local host:1"}) {
    const Error error = testing::ErrorOf([&] { ParseTarget(target); });
    EXPECT_EQ(error.kind(), Error::Kind::kInvalidCall) << target;
  }
}

TEST(Target, OnlyLoopbackAndSocketsAreLocal) {
  for (const char* target : {"localhost:1", "127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "unix:/x", "dns:///localhost:1",
                             "ipv4:127.0.0.1:1", "unix-abstract:x"})
    EXPECT_TRUE(IsLocal(target)) << target;
  for (const char* target : {"10.0.0.1:1", "127.example:1", "localhost.example:1", "dns://127.0.0.1/trivium:1"})
    EXPECT_FALSE(IsLocal(target)) << target;
}

TEST(Target, NamesAreBalanced) {
  EXPECT_STREQ(Balancer("trivium.example:1"), "round_robin");
  EXPECT_STREQ(Balancer("dns:///trivium.example:1"), "round_robin");
  EXPECT_STREQ(Balancer("10.0.0.1:1"), "pick_first");
  EXPECT_STREQ(Balancer("[2001:db8::1]:1"), "pick_first");
  EXPECT_STREQ(Balancer("localhost:1"), "pick_first");
}

}  // namespace
}  // namespace trivium::detail
