#include "trivium/client.h"

#include "connection.h"
#include "trivium/admin.h"
#include "trivium/analysis.h"
#include "trivium/embeddings.h"
#include "trivium/health.h"
#include "trivium/models.h"
#include "trivium/speech.h"
#include "trivium/text.h"
#include "trivium/vision.h"

namespace trivium {

Client::Client(const ClientOptions& options) : connection_(std::make_shared<detail::Connection>(options)) {}

Client::~Client() { Close(); }

Client::Client(Client&&) noexcept = default;

Client& Client::operator=(Client&& other) noexcept {
  std::swap(connection_, other.connection_);
  return *this;
}

void Client::Close() {
  if (connection_) connection_->closing().Cancel();
}

TextClient Client::text() const { return TextClient(connection_); }
EmbeddingClient Client::embeddings() const { return EmbeddingClient(connection_); }
AnalysisClient Client::analysis() const { return AnalysisClient(connection_); }
VisionClient Client::vision() const { return VisionClient(connection_); }
SpeechClient Client::speech() const { return SpeechClient(connection_); }
ModelClient Client::models() const { return ModelClient(connection_); }
AdminClient Client::admin() const { return AdminClient(connection_); }
HealthClient Client::health() const { return HealthClient(connection_); }

}  // namespace trivium
