#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "trivium/v1/common.pb.h"

// Files as what calls take and give.
namespace trivium {

// A file's bytes: an image or a recording. Throws std::runtime_error that names the file where it cannot be
// read.
v1::Media MediaFromFile(const std::string& path);

// Writes a file. Throws std::runtime_error that names it where it cannot be written.
void WriteFile(const std::string& path, std::string_view bytes);

// Sound of one or more channels, 16 bits a sample, little-endian, channels interleaved: what
// AUDIO_ENCODING_PCM_S16LE takes.
struct Pcm {
  std::string bytes;
  std::int32_t sample_rate_hz = 0;
  std::int32_t channel_count = 1;

  // How many bytes a time takes, cut to whole samples of all channels.
  std::size_t BytesOf(double seconds) const;
};

// Reads a WAV file of 16 bits a sample. Throws std::runtime_error that says what it is instead.
Pcm PcmFromWav(const std::string& path);

}  // namespace trivium
