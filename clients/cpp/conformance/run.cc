#include "run.h"

#include <absl/strings/escaping.h>

#include <thread>

namespace conformance {
namespace {

std::chrono::milliseconds Milliseconds(const Json& seconds) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::duration<double>(seconds.get<double>()));
}

trivium::Metadata ReadMetadata(const Json& given) {
  trivium::Metadata metadata;
  for (const auto& [key, value] : given.items()) {
    const std::string& end = key.size() > 4 ? key.substr(key.size() - 4) : key;
    metadata[key] = end == "-bin" ? FromBase64(value) : value.get<std::string>();
  }
  return metadata;
}

trivium::Tls ReadTls(const Json& given) {
  return {given.value("root_certificates", ""), given.value("certificate", ""), given.value("private_key", ""),
          given.value("server_name", "")};
}

trivium::ClientOptions ReadClient(const Json& given) {
  trivium::ClientOptions options;
  options.target = given.at("target");
  if (given.contains("token")) options.token = given["token"].get<std::string>();
  if (given.contains("timeout_s")) options.timeout = Milliseconds(given["timeout_s"]);
  if (given.contains("idle_timeout_s")) options.idle_timeout = Milliseconds(given["idle_timeout_s"]);
  if (given.contains("max_attempts")) options.retry.max_attempts = given["max_attempts"];
  if (given.contains("metadata")) options.metadata = ReadMetadata(given["metadata"]);
  if (given.contains("tls")) {
    if (given["tls"].is_boolean())
      options.tls = given["tls"].get<bool>();
    else
      options.tls = ReadTls(given["tls"]);
  }
  return options;
}

trivium::CallOptions ReadCall(const Json& given) {
  trivium::CallOptions options;
  if (given.contains("timeout_s")) options.timeout = Milliseconds(given["timeout_s"]);
  if (given.contains("idle_timeout_s")) options.idle_timeout = Milliseconds(given["idle_timeout_s"]);
  options.request_id = given.value("request_id", "");
  if (given.contains("metadata")) options.metadata = ReadMetadata(given["metadata"]);
  return options;
}

Act ReadAct(const Json& given) {
  Act act;
  act.cancel_before = given.value("cancel_before", false);
  if (given.contains("cancel_after_s")) act.cancel_after_s = given["cancel_after_s"];
  if (given.contains("cancel_after_messages")) act.cancel_after_messages = given["cancel_after_messages"];
  if (given.contains("stop_after_messages")) act.stop_after_messages = given["stop_after_messages"];
  act.read_pause_s = given.value("read_pause_s", 0.0);
  act.half_close_on_go_away = given.value("half_close", "") == "on_go_away";
  return act;
}

Json OrNull(const std::string& text) { return text.empty() ? Json() : Json(text); }

Json Describe(const trivium::Error& error) {
  Json violations = Json::array();
  for (const auto& violation : error.field_violations())
    violations.push_back({{"field", violation.field}, {"description", violation.description}});
  Json described = {{"kind", OrNull(trivium::KindName(error.kind()))},
                    {"code", trivium::StatusCodeName(error.code())},
                    {"reason", OrNull(error.reason())},
                    {"message", error.message()},
                    {"metadata", error.metadata()},
                    {"field_violations", violations},
                    {"retry_after_s", nullptr},
                    {"request_id", OrNull(error.request_id())},
                    {"usage", nullptr}};
  if (error.retry_after()) described["retry_after_s"] = std::chrono::duration<double>(*error.retry_after()).count();
  if (error.usage()) described["usage"] = ToBase64(error.usage()->SerializeAsString());
  return described;
}

}  // namespace

std::string FromBase64(const std::string& text) {
  std::string bytes;
  if (!absl::Base64Unescape(text, &bytes)) throw std::runtime_error("not base64: " + text);
  return bytes;
}

std::string ToBase64(const std::string& bytes) { return absl::Base64Escape(bytes); }

Run::Run(const Json& given)
    : name_(given.at("case")),
      method_(given.at("call").at("method")),
      client_(ReadClient(given.at("client"))),
      call_(ReadCall(given.at("call"))),
      act_(ReadAct(given.value("act", Json::object()))) {
  for (const auto& request : given.at("call").at("requests")) requests_.push_back(FromBase64(request));
}

trivium::CallOptions Run::call() {
  trivium::CallOptions options = call_;
  options.cancel = cancel_.token();
  options.report = &report_;
  return options;
}

bool Run::Take(const google::protobuf::Message& response) {
  responses_.push_back(response.SerializeAsString());
  const auto count = static_cast<int>(responses_.size());
  if (act_.cancel_after_messages == count) cancel_.Cancel();
  return act_.stop_after_messages != count;
}

void Run::PauseBeforeRead() const { std::this_thread::sleep_for(std::chrono::duration<double>(act_.read_pause_s)); }

Json Run::Result(const trivium::Error* error, double elapsed_s) const {
  Json responses = Json::array();
  for (const auto& response : responses_) responses.push_back(ToBase64(response));
  return {{"case", name_},
          {"ok", error == nullptr},
          {"responses", responses},
          {"error", error == nullptr ? Json() : Describe(*error)},
          {"text", text_ ? Json(*text_) : Json()},
          {"request_id", OrNull(report_.request_id)},
          {"elapsed_s", elapsed_s}};
}

}  // namespace conformance
