#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/completion_queue.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>

#include "retry.h"

namespace trivium::detail {

// Something that gRPC is asked to do, again and again, but once at a time.
class Operation {
 private:
  friend class Operations;
  bool pending_ = false;
  bool ok_ = false;
};

// The operations of one attempt of a call. There is no thread for them: who waits for one looks after all,
// one thread at a time, and tells the others. Thread-safe, but for two threads at the same operation.
class Operations {
 public:
  // Returns until when to wait, nothing for ever. Asked again whenever any operation came to its end; of the
  // answers in the life of this object none is before an earlier one.
  using Limit = std::function<std::optional<Clock::time_point>()>;

  Operations() = default;
  // Waits until gRPC is at nothing any more: cancel the call first.
  ~Operations();
  Operations(const Operations&) = delete;
  Operations& operator=(const Operations&) = delete;

  grpc::CompletionQueue* queue() { return &queue_; }

  // Returns the tag to begin the operation with.
  void* Begin(Operation& operation);

  // Waits until the operation is over. Returns whether gRPC did it; nothing where the limit came first, and
  // then the operation is still under way.
  std::optional<bool> Await(Operation& operation, const Limit& limit = nullptr);

 private:
  void LookAfterAll(std::unique_lock<std::mutex>& lock);
  void Wake(Clock::time_point at);

  grpc::CompletionQueue queue_;
  // Rings at the limit of a wait, or at that of an earlier one, and is then set anew. A stream that is not
  // idle sets it once in its idle timeout, where a limited wait for each message is dear: a third more CPU
  // time, 64 streams at once.
  std::optional<grpc::Alarm> alarm_;
  Operation ringing_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_looked_after_ = false;
  int waiting_ = 0;
};

}  // namespace trivium::detail
