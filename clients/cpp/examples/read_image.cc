// Reads the text in an image: read_image FILE. The server is that of $TRIVIUM_TARGET.

#include <trivium/vision.h>

#include <cstdio>
#include <iostream>

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: read_image FILE\n";
    return 2;
  }
  try {
    const trivium::Client client;
    const auto text = client.vision().ReadText("pp-ocrv6-small", trivium::MediaFromFile(argv[1]));
    for (const auto& line : text.lines()) std::printf("%4.2f  %s\n", line.score(), line.text().c_str());
    return 0;
  } catch (const std::exception& error) {  // the file's or the call's
    std::cerr << error.what() << "\n";
    return 1;
  }
}
