// Speaks a text into a WAV file: speak FILE [TEXT]. The server is that of $TRIVIUM_TARGET.

#include <trivium/speech.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: speak FILE [TEXT]\n";
    return 2;
  }
  try {
    const trivium::Client client;
    const auto spoken = client.speech().Speak(
        "hibari-heart", argc > 2 ? argv[2] : "The train to Paris leaves at seven in the morning.");
    trivium::WriteFile(argv[1], spoken.audio());
    const auto& duration = spoken.audio_duration();
    std::cout << argv[1] << ": " << duration.seconds() + duration.nanos() / 1e9 << " s of sound\n";
    return 0;
  } catch (const std::exception& error) {  // the file's or the call's
    std::cerr << error.what() << "\n";
    return 1;
  }
}
