#pragma once

#include <string>
#include <vector>

#include "trivium/client.h"
#include "trivium/detail/group.h"
#include "trivium/v1/embedding.pb.h"

namespace trivium {

// The components of a vector, whatever its encoding. Throws Error with DATA_LOSS for bytes that do not fit
// what is said of them or an encoding that this version does not know. A vector of bits has 1 and 0.
std::vector<float> Floats(const v1::FloatVector& vector);
std::vector<float> Floats(const v1::PackedVector& vector);

// The one vector of a text. Throws Error with DATA_LOSS for a sparse embedding and one of a vector per token.
std::vector<float> Floats(const v1::Embedding& embedding);

// The cosine of the angle between two vectors of the same length, -1 to 1; 0 where one of them is zero.
// Throws std::invalid_argument for vectors of different lengths.
double Cosine(const std::vector<float>& a, const std::vector<float>& b);

// Turns texts into vectors, ranks and compares them; see EmbeddingService in the contract for what each
// method does and fails with. An item that fails alone has a status in its result: Error::OfItem makes an
// error of it.
class EmbeddingClient : public detail::Group {
 public:
  using Group::Group;

  v1::EmbedResponse Embed(const v1::EmbedRequest& request, const CallOptions& options = {}) const {
    return Unary<v1::EmbedResponse>("/trivium.v1.EmbeddingService/Embed", request, options);
  }

  DuplexStream<v1::StreamEmbedRequest, v1::StreamEmbedResponse> StreamEmbed(const CallOptions& options = {}) const {
    return Duplex<v1::StreamEmbedRequest, v1::StreamEmbedResponse>("/trivium.v1.EmbeddingService/StreamEmbed", options);
  }

  v1::RerankResponse Rerank(const v1::RerankRequest& request, const CallOptions& options = {}) const {
    return Unary<v1::RerankResponse>("/trivium.v1.EmbeddingService/Rerank", request, options);
  }

  v1::CompareTextsResponse CompareTexts(const v1::CompareTextsRequest& request, const CallOptions& options = {}) const {
    return Unary<v1::CompareTextsResponse>("/trivium.v1.EmbeddingService/CompareTexts", request, options);
  }

  // Embeds up to 2048 texts and returns one vector for each, in their order. Throws the error of the first
  // text that failed, where one did.
  std::vector<std::vector<float>> Embed(const std::string& model, const std::vector<std::string>& texts,
                                        const CallOptions& options = {}) const;
};

}  // namespace trivium
