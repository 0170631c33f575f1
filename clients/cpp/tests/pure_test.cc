#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <filesystem>

#include "event_rules.h"
#include "scripted_server.h"

namespace trivium {
namespace {

using testing::ErrorOf;

TEST(EventRules, AGapMeansThatSomethingIsMissing) {
  detail::EventRules rules(detail::Ending::kCompletedEvent);
  EXPECT_FALSE(rules.Take(testing::Started(0)));
  EXPECT_FALSE(rules.Take(testing::Delta(1, "a")));
  EXPECT_EQ(rules.Take(testing::Delta(3, "c")), "event 2 of the stream is missing; 3 came");
  EXPECT_FALSE(rules.is_complete());
}

TEST(EventRules, CompletedIsTheEnd) {
  detail::EventRules rules(detail::Ending::kCompletedEvent);
  EXPECT_FALSE(rules.Take(testing::Completed(0)));
  EXPECT_TRUE(rules.is_complete());
}

TEST(EventRules, AModelThatIsReadyIsTheEndOfItsLoad) {
  detail::EventRules rules(detail::Ending::kReadyModel);
  admin::v1::LoadModelResponse progress;
  EXPECT_FALSE(rules.Take(progress));
  progress.mutable_model()->set_state(v1::MODEL_STATE_WARMING);
  EXPECT_FALSE(rules.Take(progress));
  EXPECT_FALSE(rules.is_complete());
  progress.mutable_model()->set_state(v1::MODEL_STATE_READY);
  EXPECT_FALSE(rules.Take(progress));
  EXPECT_TRUE(rules.is_complete());
}

TEST(Cancel, ATokenFollowsItsSource) {
  EXPECT_FALSE(CancelToken().cancelled());
  const CancelSource source;
  const CancelToken token = source.token();
  int calls = 0;
  {
    const detail::CancelWatch gone(token, [&] { calls += 100; });
  }
  const detail::CancelWatch watch(token, [&] { ++calls; });
  source.Cancel();
  source.Cancel();
  EXPECT_TRUE(token.cancelled());
  EXPECT_EQ(calls, 1);
  const detail::CancelWatch late(token, [&] { ++calls; });
  EXPECT_EQ(calls, 2);
}

v1::PackedVector Packed(v1::VectorEncoding encoding, int dimensions, const std::string& data) {
  v1::PackedVector vector;
  vector.set_encoding(encoding);
  vector.set_dimensions(dimensions);
  vector.set_data(data);
  return vector;
}

TEST(Vectors, EachEncodingIsRead) {
  using Values = std::vector<float>;
  const std::string floats("\x00\x00\x80\x3f\x00\x00\x00\xc0", 8);
  EXPECT_EQ(Floats(Packed(v1::VECTOR_ENCODING_FLOAT32_BYTES, 2, floats)), (Values{1, -2}));
  // 1, -2, the largest of binary16, its smallest, and 0.
  const std::string halves("\x00\x3c\x00\xc0\xff\x7b\x01\x00\x00\x00", 10);
  EXPECT_EQ(Floats(Packed(v1::VECTOR_ENCODING_FLOAT16_BYTES, 5, halves)),
            (Values{1, -2, 65504, std::ldexp(1.0F, -24), 0}));
  v1::PackedVector bytes = Packed(v1::VECTOR_ENCODING_INT8_BYTES, 3, std::string("\x7f\x81\x00", 3));
  bytes.set_scale(0.5F);
  EXPECT_EQ(Floats(bytes), (Values{63.5, -63.5, 0}));
  EXPECT_EQ(Floats(Packed(v1::VECTOR_ENCODING_BINARY_BYTES, 9, std::string("\x81\x80", 2))),
            (Values{1, 0, 0, 0, 0, 0, 0, 1, 1}));
}

TEST(Vectors, WhatDoesNotFitIsLost) {
  for (const auto& vector :
       {Packed(v1::VECTOR_ENCODING_FLOAT32_BYTES, 2, "1234567"), Packed(v1::VECTOR_ENCODING_BINARY_BYTES, 9, "1"),
        Packed(static_cast<v1::VectorEncoding>(77), 1, "1")})
    EXPECT_EQ(ErrorOf([&] { Floats(vector); }).code(), StatusCode::DATA_LOSS);
  EXPECT_EQ(ErrorOf([] { Floats(v1::Embedding()); }).code(), StatusCode::DATA_LOSS);
}

TEST(Vectors, CosineIsOfTheAngle) {
  EXPECT_DOUBLE_EQ(Cosine({1, 0}, {0, 2}), 0);
  EXPECT_DOUBLE_EQ(Cosine({1, 1}, {-2, -2}), -1);
  EXPECT_DOUBLE_EQ(Cosine({0, 0}, {1, 1}), 0);
  EXPECT_THROW(Cosine({1}, {1, 2}), std::invalid_argument);
}

TEST(Prompts, AnAnswerIsItsPartsTogether) {
  const v1::GenerationInput input = Chat("m", {System("Be brief."), User("Hi"), Assistant("Hello")});
  ASSERT_EQ(input.conversation().messages_size(), 3);
  EXPECT_EQ(input.conversation().messages(1).role(), v1::CHAT_ROLE_USER);
  EXPECT_EQ(TextOf(input.conversation().messages(2)), "Hello");
  v1::GenerateResponse response;
  EXPECT_EQ(TextOf(response), "");
  auto* message = response.add_candidates()->mutable_message();
  message->add_parts()->set_text("Good ");
  message->add_parts()->set_text("morning");
  EXPECT_EQ(TextOf(response), "Good morning");
}

// A file in a folder of its own, gone at the end.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& bytes) {
    std::string folder = (std::filesystem::temp_directory_path() / "trivium-XXXXXX").string();
    if (mkdtemp(folder.data()) == nullptr) throw std::runtime_error("no temporary folder");
    folder_ = folder;
    WriteFile(path(), bytes);
  }
  ~TemporaryFile() { std::filesystem::remove_all(folder_); }
  std::string path() const { return (folder_ / "file").string(); }

 private:
  std::filesystem::path folder_;
};

std::string Wav(const std::string& format_tail, const std::string& samples) {
  const std::string format = std::string("\x01\x00\x02\x00\x80\x3e\x00\x00\x00\xfa\x00\x00\x04\x00", 14) + format_tail;
  const auto chunk = [](const std::string& name, const std::string& body) {
    return name + static_cast<char>(body.size()) + std::string(3, '\0') + body + std::string(body.size() % 2, '\0');
  };
  return "RIFF" + std::string(4, '\0') + "WAVE" + chunk("LIST", "odd") + chunk("fmt ", format) + chunk("data", samples);
}

TEST(Media, AWavFileIsItsSamples) {
  const TemporaryFile file(Wav(std::string("\x10\x00", 2), "12345678"));
  const Pcm sound = PcmFromWav(file.path());
  EXPECT_EQ(sound.bytes, "12345678");
  EXPECT_EQ(sound.sample_rate_hz, 16000);
  EXPECT_EQ(sound.channel_count, 2);
  EXPECT_EQ(sound.BytesOf(0.1), 6400U);
  EXPECT_EQ(MediaFromFile(file.path()).content().substr(0, 4), "RIFF");
}

TEST(Media, WhatIsNoWavFileOf16BitsIsRefused) {
  for (const std::string& bytes : {std::string(), std::string("RIFF"), Wav(std::string("\x08\x00", 2), "12"),
                                   Wav("", "12"), Wav(std::string("\x10\x00", 2), "").substr(0, 40)}) {
    const TemporaryFile file(bytes);
    EXPECT_THROW(PcmFromWav(file.path()), std::runtime_error);
  }
  EXPECT_THROW(MediaFromFile("/no/such/file"), std::runtime_error);
  EXPECT_THROW(WriteFile("/no/such/file", ""), std::runtime_error);
}

}  // namespace
}  // namespace trivium
