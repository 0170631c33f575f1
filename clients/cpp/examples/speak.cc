// Speaks a text into a WAV file: speak TEXT FILE. The server is that of $TRIVIUM_TARGET.

#include <trivium/speech.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: speak TEXT FILE\n";
    return 2;
  }
  try {
    const trivium::Client client;
    const auto spoken = client.speech().Speak("hibari-heart", argv[1]);
    trivium::WriteFile(argv[2], spoken.audio());
    const auto& duration = spoken.audio_duration();
    std::cout << argv[2] << ": " << duration.seconds() + duration.nanos() / 1e9 << " s of sound\n";
    return 0;
  } catch (const std::exception& error) {  // the file's or the call's
    std::cerr << error.what() << "\n";
    return 1;
  }
}
