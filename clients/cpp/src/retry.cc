#include "retry.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace trivium::detail {
namespace {

constexpr double kSpread = 1.2;  // on top: callers that were refused together must not come back together

std::optional<Seconds> Delay(const RetryPolicy& policy, const Failure& failure, int attempts, const Uniform& uniform) {
  if (failure.pushback_ms) {
    const std::chrono::duration<double, std::milli> pushback(static_cast<double>(*failure.pushback_ms));
    if (pushback.count() < 0 || pushback > policy.max_retry_after) return std::nullopt;
    return pushback * uniform(1.0, kSpread);
  }
  const Seconds grown = Seconds(policy.initial_backoff) * std::exp2(std::min(attempts - 1, 30));
  const Seconds ceiling = std::min<Seconds>(policy.max_backoff, grown);
  const Seconds backoff(uniform(ceiling.count() / 2, ceiling.count()));
  const auto& wanted = failure.error.retry_after();
  if (!wanted) return backoff;
  if (*wanted > policy.max_retry_after) return std::nullopt;
  return std::max(backoff, Seconds(*wanted) * uniform(1.0, kSpread));
}

}  // namespace

double RandomBetween(double low, double high) {
  thread_local std::mt19937_64 random(std::random_device{}());
  return low + (high - low) * std::generate_canonical<double, 53>(random);
}

void CheckPolicy(const RetryPolicy& policy) {
  if (policy.max_attempts < 1)
    throw InvalidCall("retry.max_attempts is " + std::to_string(policy.max_attempts) + "; it must be at least 1");
  for (const auto limit : {policy.initial_backoff, policy.max_backoff, policy.max_retry_after})
    if (limit.count() < 0) throw InvalidCall("a time of retry is negative");
}

std::optional<Seconds> DelayBeforeRetry(const RetryPolicy& policy, const Failure& failure, int attempts,
                                        std::optional<Seconds> left, const Uniform& uniform) {
  if (attempts >= policy.max_attempts || !failure.is_retriable()) return std::nullopt;
  const auto delay = Delay(policy, failure, attempts, uniform);
  if (!delay || (left && *delay >= *left)) return std::nullopt;
  return delay;
}

}  // namespace trivium::detail
