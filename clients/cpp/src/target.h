#pragma once

#include <optional>
#include <string>
#include <string_view>

// Where a server is: what people write as a target, and what gRPC takes. Pure.
namespace trivium::detail {

struct Target {
  // What gRPC takes.
  std::string address;
  // What a URL says about TLS; nothing where the target was no URL.
  std::optional<bool> is_encrypted;
};

// Reads host:port, http://host:port, https://host[:port], or a target with a scheme of gRPC's own. Throws
// Error of kind kInvalidCall that says what is missing.
Target ParseTarget(const std::string& text);

// Whether an address can only be this machine: a loopback address or a Unix socket.
bool IsLocal(std::string_view address);

// gRPC's name of how to spread calls: round robin where a name may stand for several servers.
const char* Balancer(std::string_view address);

}  // namespace trivium::detail
