#include "target.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "status.h"

namespace trivium::detail {
namespace {

constexpr std::array<std::string_view, 9> kGrpcSchemes = {
    "unix:", "unix-abstract:", "dns:", "ipv4:", "ipv6:", "vsock:", "xds:", "google-c2p:", "passthrough:"};

bool StartsWith(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Where the port's colon is; npos where there is none, as after the colons of a bare IPv6 address.
std::size_t PortColon(std::string_view address) {
  if (StartsWith(address, "[")) {
    const auto bracket = address.find(']');
    const bool has_port = bracket != std::string_view::npos && address.substr(bracket + 1, 1) == ":";
    return has_port ? bracket + 1 : std::string_view::npos;
  }
  const auto colon = address.find(':');
  return address.find(':', colon + 1) == std::string_view::npos ? colon : std::string_view::npos;
}

void CheckHostAndPort(std::string_view address, const std::string& given) {
  const auto refuse = [&](const std::string& why) { throw InvalidCall("target '" + given + "' " + why); };
  const auto colon = PortColon(address);
  if (colon == std::string_view::npos) {
    if (!StartsWith(address, "[") && std::count(address.begin(), address.end(), ':') > 1)
      refuse("is an IPv6 address without brackets; write [address]:port");
    refuse("has no port; a Trivium server listens on 50051 unless configured otherwise");
  }
  const std::string_view host = address.substr(0, colon);
  const std::string_view port = address.substr(colon + 1);
  const bool is_plain_host = host.find_first_of(" \t\r\n/@") == std::string_view::npos;
  if (host.empty() || !is_plain_host) refuse("is not host:port, for example 127.0.0.1:50051");
  int number = 0;
  const auto [end, problem] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (problem != std::errc() || end != port.data() + port.size() || number < 1 || number > 65535)
    refuse("has no port from 1 to 65535");
}

Target ParseUrl(const std::string& text, std::string_view scheme) {
  const bool is_encrypted = scheme == "https://";
  std::string address = text.substr(scheme.size());
  if (!address.empty() && address.back() == '/') address.pop_back();
  if (address.find_first_of("/?#") != std::string::npos)
    throw InvalidCall("target has more than host and port; gRPC has no place for it");
  if (is_encrypted && !address.empty() && PortColon(address) == std::string_view::npos) address += ":443";
  CheckHostAndPort(address, text);
  return {address, is_encrypted};
}

std::string_view Host(std::string_view address) {
  for (const std::string_view scheme : {"dns:", "ipv4:", "ipv6:"}) {
    if (!StartsWith(address, scheme)) continue;
    address.remove_prefix(scheme.size());
    if (StartsWith(address, "//")) {  // dns://authority/host:port
      address.remove_prefix(2);
      address.remove_prefix(std::min(address.find('/') + 1, address.size()));
    }
    break;
  }
  const auto colon = PortColon(address);
  std::string_view host = address.substr(0, colon);
  if (StartsWith(host, "[") && host.back() == ']') host = host.substr(1, host.size() - 2);
  return host;
}

bool IsIpv4(std::string_view host) {
  return !host.empty() && std::count(host.begin(), host.end(), '.') == 3 &&
         std::all_of(host.begin(), host.end(), [](char c) { return c == '.' || IsDigit(c); });
}

}  // namespace

Target ParseTarget(const std::string& text) {
  const bool is_grpc = std::any_of(kGrpcSchemes.begin(), kGrpcSchemes.end(),
                                   [&](std::string_view scheme) { return StartsWith(text, scheme); });
  if (is_grpc) return {text, std::nullopt};
  if (text.find('@') != std::string::npos)  // no error shows the password
    throw InvalidCall("target has a user name or password, which have no place in it; token is a setting of its own");
  for (const std::string_view scheme : {"http://", "https://"})
    if (StartsWith(text, scheme)) return ParseUrl(text, scheme);
  CheckHostAndPort(text, text);
  return {text, std::nullopt};
}

bool IsLocal(std::string_view address) {
  if (StartsWith(address, "unix:") || StartsWith(address, "unix-abstract:")) return true;
  const std::string_view host = Host(address);
  return host == "localhost" || host == "::1" || (IsIpv4(host) && StartsWith(host, "127."));
}

const char* Balancer(std::string_view address) {
  const std::string_view host = Host(address);
  const bool is_number = IsIpv4(host) || host.find(':') != std::string_view::npos;
  return IsLocal(address) || is_number ? "pick_first" : "round_robin";
}

}  // namespace trivium::detail
