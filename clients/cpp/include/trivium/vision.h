#pragma once

#include <string>
#include <vector>

#include "trivium/client.h"
#include "trivium/detail/group.h"
#include "trivium/media.h"
#include "trivium/v1/vision.pb.h"

namespace trivium {

// Looks at images; see VisionService in the contract for what each method does and fails with. A feature that
// fails alone has a status in its result: Error::OfItem makes an error of it. MediaFromFile makes an image of
// a file.
class VisionClient : public detail::Group {
 public:
  using Group::Group;

  v1::AnalyzeImageResponse AnalyzeImage(const v1::AnalyzeImageRequest& request, const CallOptions& options = {}) const {
    return Unary<v1::AnalyzeImageResponse>("/trivium.v1.VisionService/AnalyzeImage", request, options);
  }

  DuplexStream<v1::StreamAnalyzeImageRequest, v1::StreamAnalyzeImageResponse> StreamAnalyzeImage(
      const CallOptions& options = {}) const {
    return Duplex<v1::StreamAnalyzeImageRequest, v1::StreamAnalyzeImageResponse>(
        "/trivium.v1.VisionService/StreamAnalyzeImage", options);
  }

  // Reads the text in an image. Throws the feature's error where it failed.
  v1::RecognizedText ReadText(const std::string& model, const v1::Media& image, const CallOptions& options = {}) const;

  // Returns the labels of an image, best first, at most top_k. Throws the feature's error where it failed.
  v1::ImageLabels Classify(const std::string& model, const v1::Media& image, int top_k = 5,
                           const CallOptions& options = {}) const;
};

}  // namespace trivium
