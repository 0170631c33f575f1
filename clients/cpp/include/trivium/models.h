#pragma once

#include "trivium/client.h"
#include "trivium/detail/group.h"
#include "trivium/v1/models.pb.h"

namespace trivium {

// Tells which models a server has; see ModelService in the contract for what each method does and fails with.
class ModelClient : public detail::Group {
 public:
  using Group::Group;

  v1::ListModelsResponse ListModels(const v1::ListModelsRequest& request = {}, const CallOptions& options = {}) const {
    return Unary<v1::ListModelsResponse>("/trivium.v1.ModelService/ListModels", request, options);
  }

  v1::GetModelResponse GetModel(const v1::GetModelRequest& request, const CallOptions& options = {}) const {
    return Unary<v1::GetModelResponse>("/trivium.v1.ModelService/GetModel", request, options);
  }

  // Goes on until the caller ends it; kTruncatedStream where the server does.
  Stream<v1::WatchModelsResponse> WatchModels(const v1::WatchModelsRequest& request = {},
                                              const CallOptions& options = {}) const {
    return ServerStream<v1::WatchModelsResponse>("/trivium.v1.ModelService/WatchModels", request, options,
                                                 detail::Ending::kCallerOnly);
  }
};

}  // namespace trivium
