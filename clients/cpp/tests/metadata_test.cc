#include "metadata.h"

#include <gtest/gtest.h>

#include <set>

#include "scripted_server.h"

namespace trivium::detail {
namespace {

using testing::ErrorOf;

TEST(MetadataRules, KeysAreSentInLowerCase) {
  EXPECT_EQ(CheckedMetadata({{"Team", "a b"}, {"trace-BIN", std::string("\0\xff", 2)}}),
            (Metadata{{"team", "a b"}, {"trace-bin", std::string("\0\xff", 2)}}));
}

TEST(MetadataRules, WhatIsNotTheCallersIsRefused) {
  for (const char* key : {"authorization", "X-Request-Id", "trivium-client", "user-agent", "content-type", "te",
                          "grpc-timeout", "", "with blank", "ümlaut"})
    EXPECT_EQ(ErrorOf([&] { CheckedMetadata({{key, "x"}}); }).kind(), Error::Kind::kInvalidCall) << key;
  EXPECT_EQ(ErrorOf([] { CheckedMetadata({{"team", "a\nb"}}); }).kind(), Error::Kind::kInvalidCall);
  EXPECT_EQ(ErrorOf([] { CheckedMetadata({{"team", "1"}, {"Team", "2"}}); }).kind(), Error::Kind::kInvalidCall);
}

TEST(MetadataRules, ARefusedTokenIsNotInTheError) {
  for (const char* token : {"", "secret\n", "sec ret", "sécret"}) {
    const Error error = ErrorOf([&] { CheckToken(token); });
    EXPECT_EQ(error.kind(), Error::Kind::kInvalidCall);
    EXPECT_EQ(std::string(error.what()).find("sec"), std::string::npos);
  }
  EXPECT_NO_THROW(CheckToken("tv1-AZaz09!~"));
}

TEST(MetadataRules, RequestIdsAreThoseThatTheServerKeeps) {
  for (const std::string& id : {std::string("a"), std::string("A-z.0_9:/+=@"), std::string(128, 'x')})
    EXPECT_NO_THROW(CheckRequestId(id));
  for (const std::string& id : {std::string(), std::string(129, 'x'), std::string("a b"), std::string("ä")})
    EXPECT_EQ(ErrorOf([&] { CheckRequestId(id); }).kind(), Error::Kind::kInvalidCall) << id;
}

TEST(MetadataRules, NewRequestIdsAreUuidsOfVersion4AndDiffer) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = NewRequestId();
    EXPECT_TRUE(seen.insert(id).second);
    ASSERT_EQ(id.size(), 36U);
    EXPECT_EQ(id[14], '4');
    EXPECT_NE(std::string("89ab").find(id[19]), std::string::npos);
    EXPECT_NO_THROW(CheckRequestId(id));
  }
}

}  // namespace
}  // namespace trivium::detail
