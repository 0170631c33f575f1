#include "metadata.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string_view>

#include "status.h"

namespace trivium::detail {
namespace {

struct OwnKey {
  std::string_view name;
  const char* advice;
};

constexpr std::array<OwnKey, 6> kOwnKeys = {{{"x-request-id", "give request_id instead"},
                                             {"authorization", "give token to the client instead"},
                                             {"trivium-client", "it names the client itself"},
                                             {"user-agent", "it names the client itself"},
                                             {"content-type", "gRPC sets it"},
                                             {"te", "gRPC sets it"}}};

constexpr std::size_t kLongestRequestId = 128;

bool IsLowerAlnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool IsAlnum(char c) { return IsLowerAlnum(c) || (c >= 'A' && c <= 'Z'); }

bool IsIn(char c, std::string_view set) { return set.find(c) != std::string_view::npos; }

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

std::string LowerCase(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; });
  return text;
}

void CheckKey(const std::string& key, const std::string& name) {
  for (const OwnKey& own : kOwnKeys)
    if (name == own.name) throw InvalidCall("metadata has '" + key + "', which the client sets itself: " + own.advice);
  if (name.substr(0, 5) == "grpc-")
    throw InvalidCall("metadata has '" + key + "'; keys that begin with grpc- are gRPC's own");
  const auto is_allowed = [](char c) { return IsLowerAlnum(c) || IsIn(c, "-_."); };
  if (name.empty() || !std::all_of(name.begin(), name.end(), is_allowed))
    throw InvalidCall("metadata has '" + key + "'; a key is letters of ASCII, digits, '-', '_' and '.'");
}

void CheckValue(const std::string& key, const std::string& value) {
  const auto is_printable = [](char c) { return c >= ' ' && c <= '~'; };
  if (!std::all_of(value.begin(), value.end(), is_printable))
    throw InvalidCall("the metadata value of '" + key +
                      "' is not printable ASCII; bytes go under a key that ends in -bin");
}

}  // namespace

Metadata CheckedMetadata(const Metadata& given) {
  Metadata checked;
  for (const auto& [key, value] : given) {
    const std::string name = LowerCase(key);
    CheckKey(key, name);
    if (!EndsWith(name, "-bin")) CheckValue(key, value);
    if (!checked.emplace(name, value).second) throw InvalidCall("metadata has '" + key + "' twice, in different case");
  }
  return checked;
}

void CheckToken(const std::string& token) {
  if (token.empty() || !std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c <= '~'; }))
    throw InvalidCall("token is empty or has a character that is not printable ASCII, such as a line break");
}

void CheckRequestId(const std::string& request_id) {
  const auto is_allowed = [](char c) { return IsAlnum(c) || IsIn(c, "._:/+=@-"); };
  if (request_id.empty() || request_id.size() > kLongestRequestId ||
      !std::all_of(request_id.begin(), request_id.end(), is_allowed))
    throw InvalidCall("request_id must be 1 to 128 characters of A-Z, a-z, 0-9 and . _ : / + = @ -");
}

std::string NewRequestId() {
  thread_local std::random_device device;
  thread_local std::seed_seq seed{device(), device(), device(), device(), device(), device()};
  thread_local std::mt19937_64 random(seed);
  const std::uint64_t high = (random() & ~0xF000ULL) | 0x4000ULL;       // version 4
  const std::uint64_t low = (random() & ~(3ULL << 62)) | (2ULL << 62);  // variant of RFC 4122
  std::array<char, 37> text{};
  std::snprintf(text.data(), text.size(), "%08x-%04x-%04x-%04x-%012llx", static_cast<unsigned>(high >> 32),
                static_cast<unsigned>(high >> 16 & 0xFFFF), static_cast<unsigned>(high & 0xFFFF),
                static_cast<unsigned>(low >> 48), static_cast<unsigned long long>(low & 0xFFFFFFFFFFFFULL));
  return text.data();
}

}  // namespace trivium::detail
