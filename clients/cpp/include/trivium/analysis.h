#pragma once

#include "trivium/client.h"
#include "trivium/detail/group.h"
#include "trivium/v1/analysis.pb.h"

namespace trivium {

// Finds out what texts are about; see TextAnalysisService in the contract for what each method does and fails
// with. An item that fails alone has a status in its result: Error::OfItem makes an error of it.
class AnalysisClient : public detail::Group {
 public:
  using Group::Group;

  v1::ClassifyTextResponse ClassifyText(const v1::ClassifyTextRequest& request, const CallOptions& options = {}) const {
    return Unary<v1::ClassifyTextResponse>("/trivium.v1.TextAnalysisService/ClassifyText", request, options);
  }

  v1::ExtractEntitiesResponse ExtractEntities(const v1::ExtractEntitiesRequest& request,
                                              const CallOptions& options = {}) const {
    return Unary<v1::ExtractEntitiesResponse>("/trivium.v1.TextAnalysisService/ExtractEntities", request, options);
  }

  v1::DetectLanguageResponse DetectLanguage(const v1::DetectLanguageRequest& request,
                                            const CallOptions& options = {}) const {
    return Unary<v1::DetectLanguageResponse>("/trivium.v1.TextAnalysisService/DetectLanguage", request, options);
  }
};

}  // namespace trivium
