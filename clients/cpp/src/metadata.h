#pragma once

#include <optional>
#include <string>

#include "trivium/options.h"

// What a call says besides its message: what gRPC can carry, and what the client keeps for itself. Pure but
// for NewRequestId.
namespace trivium::detail {

// Returns the metadata with its keys in lower case. Throws Error of kind kInvalidCall, which names the key,
// for what cannot be sent or is not the caller's to set.
Metadata CheckedMetadata(const Metadata& given);

// Throws Error of kind kInvalidCall, without the token in it, where a header cannot carry it.
void CheckToken(const std::string& token);

// Throws Error of kind kInvalidCall for an id that the server would replace by one that the caller does not
// know.
void CheckRequestId(const std::string& request_id);

// A random UUID.
std::string NewRequestId();

}  // namespace trivium::detail
