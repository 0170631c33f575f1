#include <functional>
#include <map>
#include <thread>

#include "run.h"

namespace conformance {
namespace {

using trivium::CallOptions;
using trivium::Client;

using Method = std::function<void(Run&, const Client&)>;

// Reads a stream to its end, or as far as the case wants it.
template <class Stream, class Response>
void ReadAll(Run& run, Stream& stream, bool (Stream::*read)(Response&),
             const std::function<void(const Response&)>& look = nullptr) {
  Response response;
  for (run.PauseBeforeRead(); (stream.*read)(response); run.PauseBeforeRead()) {
    if (look) look(response);
    if (!run.Take(response)) return;
  }
}

template <class Group, class Request, class Response>
Method Unary(Group (Client::*group)() const, Response (Group::*call)(const Request&, const CallOptions&) const) {
  return [=](Run& run, const Client& client) {
    run.Take(((client.*group)().*call)(run.ParseRequest<Request>(0), run.call()));
  };
}

template <class Group, class Request, class Response>
Method ServerStream(Group (Client::*group)() const,
                    trivium::Stream<Response> (Group::*call)(const Request&, const CallOptions&) const) {
  return [=](Run& run, const Client& client) {
    auto stream = ((client.*group)().*call)(run.ParseRequest<Request>(0), run.call());
    ReadAll(run, stream, &trivium::Stream<Response>::Read);
  };
}

// StreamGenerate, whose text the SDK puts together.
void Generate(Run& run, const Client& client) {
  const auto request = run.ParseRequest<trivium::v1::StreamGenerateRequest>(0);
  trivium::TextStream stream(client.text().StreamGenerate(request, run.call()));
  run.set_text("");
  ReadAll<trivium::TextStream, trivium::v1::StreamGenerateResponse>(run, stream, &trivium::TextStream::ReadEvent,
                                                                    [&](const auto&) { run.set_text(stream.text()); });
}

bool IsGoAway(const google::protobuf::Message& response) {
  const auto* field = response.GetDescriptor()->FindFieldByName("go_away");
  return field != nullptr && response.GetReflection()->HasField(response, field);
}

template <class Group, class Request, class Response>
Method Duplex(Group (Client::*group)() const,
              trivium::DuplexStream<Request, Response> (Group::*call)(const CallOptions&) const) {
  return [=](Run& run, const Client& client) {
    using Stream = trivium::DuplexStream<Request, Response>;
    auto stream = ((client.*group)().*call)(run.call());
    std::thread writer([&] {
      bool goes_on = true;
      for (std::size_t i = 0; goes_on && i < run.request_count(); ++i)
        goes_on = stream.Write(run.ParseRequest<Request>(i));
      if (!run.act().half_close_on_go_away) stream.WritesDone();
    });
    // However reading ends, nothing is written after it.
    const std::shared_ptr<void> end(nullptr, [&](void*) {
      stream.Cancel();
      writer.join();
    });
    ReadAll<Stream, Response>(run, stream, &Stream::Read, [&](const Response& response) {
      if (run.act().half_close_on_go_away && IsGoAway(response)) stream.WritesDone();
    });
  };
}

const std::map<std::string, Method>& Methods() {
  using namespace trivium;
  static const std::map<std::string, Method> methods = {
      {"trivium.v1.TextGenerationService/Generate", Unary(&Client::text, &TextClient::Generate)},
      {"trivium.v1.TextGenerationService/StreamGenerate", Generate},
      {"trivium.v1.TextGenerationService/CountTokens", Unary(&Client::text, &TextClient::CountTokens)},
      {"trivium.v1.EmbeddingService/Embed",
       Unary<EmbeddingClient, v1::EmbedRequest, v1::EmbedResponse>(&Client::embeddings, &EmbeddingClient::Embed)},
      {"trivium.v1.EmbeddingService/StreamEmbed", Duplex(&Client::embeddings, &EmbeddingClient::StreamEmbed)},
      {"trivium.v1.EmbeddingService/Rerank", Unary(&Client::embeddings, &EmbeddingClient::Rerank)},
      {"trivium.v1.EmbeddingService/CompareTexts", Unary(&Client::embeddings, &EmbeddingClient::CompareTexts)},
      {"trivium.v1.TextAnalysisService/ClassifyText", Unary(&Client::analysis, &AnalysisClient::ClassifyText)},
      {"trivium.v1.TextAnalysisService/ExtractEntities", Unary(&Client::analysis, &AnalysisClient::ExtractEntities)},
      {"trivium.v1.TextAnalysisService/DetectLanguage", Unary(&Client::analysis, &AnalysisClient::DetectLanguage)},
      {"trivium.v1.VisionService/AnalyzeImage", Unary(&Client::vision, &VisionClient::AnalyzeImage)},
      {"trivium.v1.VisionService/StreamAnalyzeImage", Duplex(&Client::vision, &VisionClient::StreamAnalyzeImage)},
      {"trivium.v1.SpeechRecognitionService/Recognize", Unary(&Client::speech, &SpeechClient::Recognize)},
      {"trivium.v1.SpeechRecognitionService/StreamRecognize", Duplex(&Client::speech, &SpeechClient::StreamRecognize)},
      {"trivium.v1.SpeechSynthesisService/Synthesize", Unary(&Client::speech, &SpeechClient::Synthesize)},
      {"trivium.v1.SpeechSynthesisService/StreamSynthesize", Duplex(&Client::speech, &SpeechClient::StreamSynthesize)},
      {"trivium.v1.SpeechSynthesisService/ListVoices", Unary(&Client::speech, &SpeechClient::ListVoices)},
      {"trivium.v1.ModelService/ListModels", Unary(&Client::models, &ModelClient::ListModels)},
      {"trivium.v1.ModelService/GetModel", Unary(&Client::models, &ModelClient::GetModel)},
      {"trivium.v1.ModelService/WatchModels", ServerStream(&Client::models, &ModelClient::WatchModels)},
      {"trivium.admin.v1.AdminService/GetServerInfo", Unary(&Client::admin, &AdminClient::GetServerInfo)},
      {"trivium.admin.v1.AdminService/DrainServer", Unary(&Client::admin, &AdminClient::DrainServer)},
      {"trivium.admin.v1.AdminService/LoadModel", ServerStream(&Client::admin, &AdminClient::LoadModel)},
      {"trivium.admin.v1.AdminService/UnloadModel", Unary(&Client::admin, &AdminClient::UnloadModel)},
  };
  return methods;
}

}  // namespace

bool CallMethod(Run& run, const Client& client) {
  const auto found = Methods().find(run.method());
  if (found == Methods().end()) return false;
  found->second(run, client);
  return true;
}

}  // namespace conformance
