// Uses the installed package as anybody would. Succeeds where a call to a port without a server fails as it
// should.

#include <trivium/trivium.h>

#include <iostream>

int main() {
  trivium::ClientOptions options;
  options.target = "127.0.0.1:1";
  options.retry.max_attempts = 1;
  const trivium::Client client(options);
  try {
    client.text().Ask(trivium::Prompt("m", "Is anybody there?"));
  } catch (const trivium::Error& error) {
    std::cout << error.what() << "\n";
    return error.kind() == trivium::Error::Kind::kServerUnavailable ? 0 : 1;
  }
  return 1;
}
