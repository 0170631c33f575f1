// Transcribes a recording while it is "spoken": live_transcription [--fast] FILE. The file has one
// channel of 16 bits; it is sent as fast as it sounds, or with --fast as fast as it goes. The server is that
// of $TRIVIUM_TARGET.

#include <trivium/speech.h>

#include <chrono>
#include <iostream>
#include <string_view>
#include <thread>

namespace {

constexpr double kPieceSeconds = 0.1;

trivium::v1::StreamRecognizeRequest Setup(const trivium::Pcm& sound) {
  trivium::v1::StreamRecognizeRequest request;
  auto* config = request.mutable_setup()->mutable_config();
  config->set_model("moonshine-tiny-en");
  config->mutable_format()->set_encoding(trivium::v1::AUDIO_ENCODING_PCM_S16LE);
  config->mutable_format()->set_sample_rate_hertz(sound.sample_rate_hz);
  config->mutable_format()->set_channel_count(sound.channel_count);
  request.mutable_setup()->set_interim_results(true);
  return request;
}

void Transcribe(const trivium::Pcm& sound, bool is_fast) {
  const trivium::Client client;
  auto stream = client.speech().StreamRecognize();
  stream.Write(Setup(sound));
  std::thread speaker([&] {
    const std::size_t piece = sound.BytesOf(kPieceSeconds);
    for (std::size_t at = 0; at < sound.bytes.size(); at += piece) {
      trivium::v1::StreamRecognizeRequest request;
      request.set_audio(sound.bytes.substr(at, piece));
      if (!stream.Write(request)) return;  // the call is over; reading says why
      if (!is_fast) std::this_thread::sleep_for(std::chrono::duration<double>(kPieceSeconds));
    }
    stream.WritesDone();
  });
  try {
    for (const auto& event : stream) {
      if (event.has_go_away()) stream.WritesDone();
      if (!event.has_transcript() || event.transcript().segment().alternatives().empty()) continue;
      const std::string& text = event.transcript().segment().alternatives(0).text();
      std::cout << (event.transcript().is_final() ? "\r" : "\r… ") << text << "\x1b[K"
                << (event.transcript().is_final() ? "\n" : "") << std::flush;
    }
  } catch (...) {
    speaker.join();
    throw;
  }
  speaker.join();
}

}  // namespace

int main(int argc, char** argv) {
  const bool is_fast = argc == 3 && argv[1] == std::string_view("--fast");
  if (argc != 2 && !is_fast) {
    std::cerr << "usage: live_transcription [--fast] FILE\n";
    return 2;
  }
  try {
    Transcribe(trivium::PcmFromWav(argv[argc - 1]), is_fast);
    return 0;
  } catch (const std::exception& error) {  // the file's or the call's
    std::cerr << error.what() << "\n";
    return 1;
  }
}
