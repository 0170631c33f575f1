#include "trivium/vision.h"

#include "status.h"

namespace trivium {
namespace {

v1::VisionResult OneFeature(const VisionClient& vision, const v1::Media& image, const v1::VisionFeature& feature,
                            const CallOptions& options) {
  v1::AnalyzeImageRequest request;
  *request.mutable_image() = image;
  *request.add_features() = feature;
  const v1::AnalyzeImageResponse response = vision.AnalyzeImage(request, options);
  if (response.results_size() != 1)
    throw detail::MakeError(Error::Kind::kNone, StatusCode::DATA_LOSS, "the answer has not one result",
                            response.info().request_id());
  if (response.results(0).has_error()) throw Error::OfItem(response.results(0).error(), response.info().request_id());
  return response.results(0);
}

}  // namespace

v1::RecognizedText VisionClient::ReadText(const std::string& model, const v1::Media& image,
                                          const CallOptions& options) const {
  v1::VisionFeature feature;
  feature.set_model(model);
  feature.mutable_text_recognition();
  return OneFeature(*this, image, feature, options).text_recognition();
}

v1::ImageLabels VisionClient::Classify(const std::string& model, const v1::Media& image, int top_k,
                                       const CallOptions& options) const {
  v1::VisionFeature feature;
  feature.set_model(model);
  feature.mutable_classification()->set_top_k(top_k);
  return OneFeature(*this, image, feature, options).classification();
}

}  // namespace trivium
