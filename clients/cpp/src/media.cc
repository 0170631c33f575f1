#include "trivium/media.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace trivium {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file.is_open() || file.bad()) throw std::runtime_error(path + " cannot be read");
  return bytes;
}

std::uint32_t Number(std::string_view bytes, std::size_t offset, std::size_t size) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < size; ++i)
    value |= static_cast<std::uint32_t>(static_cast<std::uint8_t>(bytes[offset + i])) << (8 * i);
  return value;
}

constexpr std::size_t kRiffHeader = 12;
constexpr std::size_t kChunkHeader = 8;
constexpr std::size_t kShortestFormat = 16;
constexpr std::uint32_t kPcmFormat = 1;
constexpr std::uint32_t kExtensibleFormat = 0xFFFE;
constexpr std::uint32_t kSampleBits = 16;

}  // namespace

v1::Media MediaFromFile(const std::string& path) {
  v1::Media media;
  media.set_content(ReadFile(path));
  return media;
}

void WriteFile(const std::string& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) throw std::runtime_error(path + " cannot be written");
}

std::size_t Pcm::BytesOf(double seconds) const {
  const auto samples = static_cast<std::size_t>(seconds * sample_rate_hz);
  return samples * 2 * static_cast<std::size_t>(channel_count);
}

Pcm PcmFromWav(const std::string& path) {
  const std::string file = ReadFile(path);
  const std::string_view bytes = file;
  const auto refuse = [&](const char* why) { throw std::runtime_error(path + " " + why); };
  if (bytes.size() < kRiffHeader || bytes.substr(0, 4) != "RIFF" || bytes.substr(8, 4) != "WAVE")
    refuse("is no WAV file");
  Pcm sound;
  for (std::size_t at = kRiffHeader; at + kChunkHeader <= bytes.size();) {
    const std::string_view name = bytes.substr(at, 4);
    const std::size_t size = Number(bytes, at + 4, 4);
    const std::string_view body = bytes.substr(at + kChunkHeader, size);  // shorter where the file is cut
    if (name == "fmt ") {
      if (body.size() < kShortestFormat) refuse("has a broken header");
      const std::uint32_t format = Number(body, 0, 2);
      if ((format != kPcmFormat && format != kExtensibleFormat) || Number(body, 14, 2) != kSampleBits)
        refuse("has no samples of 16 bits");
      sound.channel_count = static_cast<std::int32_t>(Number(body, 2, 2));
      sound.sample_rate_hz = static_cast<std::int32_t>(Number(body, 4, 4));
    } else if (name == "data") {
      if (sound.sample_rate_hz <= 0 || sound.channel_count <= 0) refuse("has samples before its format");
      sound.bytes = body;
      return sound;
    }
    at += kChunkHeader + size + size % 2;
  }
  refuse("has no samples");
  return sound;
}

}  // namespace trivium
