#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "status.h"
#include "trivium/options.h"

// When a failed call is sent again. Pure: randomness is passed in. gRPC's own retries are switched off,
// because they cannot see RetryInfo; this is the only place that retries.
namespace trivium::detail {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// Returns a number between its arguments.
using Uniform = std::function<double(double, double)>;
double RandomBetween(double low, double high);

// Throws Error of kind kInvalidCall for what cannot be.
void CheckPolicy(const RetryPolicy& policy);

// How long to wait before the next attempt, nothing where there must not be one. attempts: how many were
// made. left: until the call's deadline, nothing where it has none.
std::optional<Seconds> DelayBeforeRetry(const RetryPolicy& policy, const Failure& failure, int attempts,
                                        std::optional<Seconds> left, const Uniform& uniform = RandomBetween);

}  // namespace trivium::detail
