#include "trivium/embeddings.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <stdexcept>

#include "status.h"

namespace trivium {
namespace {

Error Unreadable(const std::string& what) { return detail::MakeError(Error::Kind::kNone, StatusCode::DATA_LOSS, what); }

std::uint8_t ByteAt(const std::string& data, std::size_t index) { return static_cast<std::uint8_t>(data[index]); }

float FromBits(std::uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

float Float32At(const std::string& data, std::size_t i) {
  std::uint32_t bits = 0;
  for (std::size_t byte = 0; byte < 4; ++byte)
    bits |= static_cast<std::uint32_t>(ByteAt(data, 4 * i + byte)) << (8 * byte);
  return FromBits(bits);
}

// IEEE 754 binary16 without infinities, which no vector has.
float Float16At(const std::string& data, std::size_t i) {
  const unsigned bits = ByteAt(data, 2 * i) | static_cast<unsigned>(ByteAt(data, 2 * i + 1)) << 8;
  const int exponent = static_cast<int>(bits >> 10 & 0x1F);
  const auto fraction = static_cast<float>(bits & 0x3FF);
  const float size = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return (bits & 0x8000) != 0 ? -size : size;
}

float BitAt(const std::string& data, std::size_t i) {
  return static_cast<float>(ByteAt(data, i / 8) >> (7 - i % 8) & 1);
}

std::size_t PackedBytes(v1::VectorEncoding encoding, std::size_t dimensions) {
  switch (encoding) {
    case v1::VECTOR_ENCODING_FLOAT32_BYTES:
      return 4 * dimensions;
    case v1::VECTOR_ENCODING_FLOAT16_BYTES:
      return 2 * dimensions;
    case v1::VECTOR_ENCODING_INT8_BYTES:
      return dimensions;
    case v1::VECTOR_ENCODING_BINARY_BYTES:
      return (dimensions + 7) / 8;
    default:
      throw Unreadable("a vector is in an encoding that this version cannot read");
  }
}

float ComponentAt(const v1::PackedVector& vector, std::size_t i) {
  switch (vector.encoding()) {
    case v1::VECTOR_ENCODING_FLOAT32_BYTES:
      return Float32At(vector.data(), i);
    case v1::VECTOR_ENCODING_FLOAT16_BYTES:
      return Float16At(vector.data(), i);
    case v1::VECTOR_ENCODING_INT8_BYTES:
      return static_cast<float>(static_cast<std::int8_t>(ByteAt(vector.data(), i))) * vector.scale();
    default:
      return BitAt(vector.data(), i);
  }
}

double Dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

}  // namespace

std::vector<float> Floats(const v1::FloatVector& vector) { return {vector.values().begin(), vector.values().end()}; }

std::vector<float> Floats(const v1::PackedVector& vector) {
  const auto dimensions = static_cast<std::size_t>(std::max(0, vector.dimensions()));
  if (vector.data().size() != PackedBytes(vector.encoding(), dimensions))
    throw Unreadable("a vector of " + std::to_string(dimensions) + " dimensions has " +
                     std::to_string(vector.data().size()) + " bytes");
  std::vector<float> values(dimensions);
  for (std::size_t i = 0; i < dimensions; ++i) values[i] = ComponentAt(vector, i);
  return values;
}

std::vector<float> Floats(const v1::Embedding& embedding) {
  if (embedding.has_dense()) return Floats(embedding.dense());
  if (embedding.has_packed()) return Floats(embedding.packed());
  throw Unreadable("an embedding is not one vector");
}

double Cosine(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size())
    throw std::invalid_argument("vectors of " + std::to_string(a.size()) + " and " + std::to_string(b.size()) +
                                " components cannot be compared");
  const double lengths = std::sqrt(Dot(a, a)) * std::sqrt(Dot(b, b));
  return lengths == 0 ? 0 : Dot(a, b) / lengths;
}

std::vector<std::vector<float>> EmbeddingClient::Embed(const std::string& model, const std::vector<std::string>& texts,
                                                       const CallOptions& options) const {
  v1::EmbedRequest request;
  request.mutable_config()->set_model(model);
  request.mutable_config()->set_encoding(v1::VECTOR_ENCODING_FLOAT32_BYTES);
  for (const std::string& text : texts) request.add_items()->set_text(text);
  const v1::EmbedResponse response = Embed(request, options);
  std::vector<std::vector<float>> vectors;
  for (const auto& result : response.results()) {
    if (result.has_error()) throw Error::OfItem(result.error(), response.info().request_id());
    vectors.push_back(Floats(result.embedding()));
  }
  if (vectors.size() != texts.size()) throw Unreadable("the answer has not one result for each text");
  return vectors;
}

}  // namespace trivium
