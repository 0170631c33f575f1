// Embeds texts and compares each with the first: embed_compare [TEXT…]. The server is that of
// $TRIVIUM_TARGET.

#include <trivium/embeddings.h>

#include <cstdio>
#include <iostream>

int main(int argc, char** argv) {
  std::vector<std::string> texts(argv + 1, argv + argc);
  if (texts.empty()) texts = {"A man is eating food.", "Somebody has a meal.", "The stock market fell on Monday."};
  try {
    const trivium::Client client;
    const auto vectors = client.embeddings().Embed("all-minilm-l6-v2", texts);
    std::cout << texts[0] << "\n";
    for (std::size_t i = 1; i < texts.size(); ++i)
      std::printf("  %5.2f  %s\n", trivium::Cosine(vectors[0], vectors[i]), texts[i].c_str());
    return 0;
  } catch (const trivium::Error& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
