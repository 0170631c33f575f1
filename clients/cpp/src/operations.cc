#include "operations.h"

#include <grpc/support/time.h>

namespace trivium::detail {
Operations::~Operations() {
  if (alarm_) alarm_->Cancel();
  queue_.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
  }
}

void* Operations::Begin(Operation& operation) {
  std::lock_guard lock(mutex_);
  operation.pending_ = true;
  return &operation;
}

std::optional<bool> Operations::Await(Operation& operation, const Limit& limit) {
  std::unique_lock lock(mutex_);
  while (operation.pending_) {
    const auto until = limit ? limit() : std::nullopt;
    if (until && *until <= Clock::now()) return std::nullopt;
    if (until && !ringing_.pending_) Wake(*until);
    if (!is_looked_after_) {
      LookAfterAll(lock);
      continue;
    }
    ++waiting_;
    changed_.wait(lock);
    --waiting_;
  }
  return operation.ok_;
}

void Operations::LookAfterAll(std::unique_lock<std::mutex>& lock) {
  is_looked_after_ = true;
  lock.unlock();
  void* tag = nullptr;
  bool ok = false;
  queue_.Next(&tag, &ok);
  lock.lock();
  is_looked_after_ = false;
  auto* operation = static_cast<Operation*>(tag);
  operation->pending_ = false;
  operation->ok_ = ok;
  if (waiting_ > 0) changed_.notify_all();
}

void Operations::Wake(Clock::time_point at) {
  const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(at - Clock::now());
  const gpr_timespec wait = gpr_time_from_nanos(left.count(), GPR_TIMESPAN);
  ringing_.pending_ = true;
  if (!alarm_) alarm_.emplace();
  alarm_->Set(&queue_, gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), wait), &ringing_);
}

}  // namespace trivium::detail
