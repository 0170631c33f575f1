#pragma once

#include "trivium/admin/v1/admin.pb.h"
#include "trivium/client.h"
#include "trivium/detail/group.h"

namespace trivium {

// Operates one server; see AdminService in the contract for what each method does and fails with.
class AdminClient : public detail::Group {
 public:
  using Group::Group;

  admin::v1::GetServerInfoResponse GetServerInfo(const admin::v1::GetServerInfoRequest& request = {},
                                                 const CallOptions& options = {}) const {
    return Unary<admin::v1::GetServerInfoResponse>("/trivium.admin.v1.AdminService/GetServerInfo", request, options);
  }

  admin::v1::DrainServerResponse DrainServer(const admin::v1::DrainServerRequest& request = {},
                                             const CallOptions& options = {}) const {
    return Unary<admin::v1::DrainServerResponse>("/trivium.admin.v1.AdminService/DrainServer", request, options);
  }

  // Whole once the model is ready; kTruncatedStream where the stream ends before.
  Stream<admin::v1::LoadModelResponse> LoadModel(const admin::v1::LoadModelRequest& request,
                                                 const CallOptions& options = {}) const {
    return ServerStream<admin::v1::LoadModelResponse>("/trivium.admin.v1.AdminService/LoadModel", request, options,
                                                      detail::Ending::kReadyModel);
  }

  // Returns when the running calls of the model are over: give it the time that this may take.
  admin::v1::UnloadModelResponse UnloadModel(const admin::v1::UnloadModelRequest& request,
                                             const CallOptions& options = {}) const {
    return Unary<admin::v1::UnloadModelResponse>("/trivium.admin.v1.AdminService/UnloadModel", request, options);
  }
};

}  // namespace trivium
