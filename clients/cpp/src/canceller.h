#pragma once

#include <grpcpp/client_context.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "connection.h"

namespace trivium::detail {

// What ends a call from beside it: its caller's token, the client's end, and Cancel. Thread-safe.
class Canceller {
 public:
  Canceller(const CancelToken& caller, const CancelToken& client)
      : caller_watch_(caller, [this] { Cancel(); }), client_watch_(client, [this] { Cancel(); }) {}

  void Cancel() {
    std::lock_guard lock(mutex_);
    cancelled_ = true;
    if (context_ != nullptr) context_->TryCancel();
    changed_.notify_all();
  }

  bool cancelled() const { return cancelled_; }

  // Says which attempt is under way; null for none. One that begins after Cancel is cancelled at once.
  void Attach(grpc::ClientContext* context) {
    std::lock_guard lock(mutex_);
    context_ = context;
    if (context_ != nullptr && cancelled_) context_->TryCancel();
  }

  // Waits. Returns false as soon as the call is cancelled.
  bool Sleep(Seconds delay) {
    std::unique_lock lock(mutex_);
    return !changed_.wait_for(lock, delay, [this] { return cancelled_.load(); });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> cancelled_ = false;
  grpc::ClientContext* context_ = nullptr;
  CancelWatch caller_watch_;  // last: they call Cancel for as long as they live
  CancelWatch client_watch_;
};

}  // namespace trivium::detail
