// Streams an answer: chat_stream [QUESTION]. The server is that of $TRIVIUM_TARGET.

#include <trivium/text.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc > 2) {
    std::cerr << "usage: chat_stream [QUESTION]\n";
    return 2;
  }
  const std::string question = argc > 1 ? argv[1] : "What is the capital of France?";
  try {
    const trivium::Client client;
    auto input = trivium::Prompt("smollm2-135m-instruct", question);
    input.mutable_sampling()->set_temperature(0);  // always the likeliest words
    input.mutable_sampling()->set_max_output_tokens(100);
    auto answer = client.text().StreamText(input);
    for (const std::string& piece : answer) std::cout << piece << std::flush;
    std::cout << "\n\n" << answer.info().usage().tokens().output_tokens() << " tokens\n";
    return 0;
  } catch (const trivium::Error& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
