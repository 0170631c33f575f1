#pragma once

#include <functional>
#include <memory>

namespace trivium {

namespace detail {
class CancelState;
class CancelWatch;
}  // namespace detail

// Tells calls that they are given up. Made by a CancelSource; copies mean the same source. A default one
// never cancels. Safe to use from several threads.
class CancelToken {
 public:
  CancelToken() = default;

  // Whether the source was cancelled.
  bool cancelled() const;

 private:
  friend class CancelSource;
  friend class detail::CancelWatch;
  explicit CancelToken(std::shared_ptr<detail::CancelState> state) : state_(std::move(state)) {}

  std::shared_ptr<detail::CancelState> state_;
};

// Cancels every call that was made with its token, running or to come. Copies mean the same source. Its
// destructor cancels nothing. Safe to use from several threads.
class CancelSource {
 public:
  CancelSource();

  // What goes into CallOptions::cancel.
  CancelToken token() const { return CancelToken(state_); }

  // Ends the calls, at the server too; they fail with Error::Kind::kCancelled. May be called more than once.
  void Cancel() const;

 private:
  std::shared_ptr<detail::CancelState> state_;
};

namespace detail {

// Runs a function once a token is cancelled, at once where it is already, for as long as this object lives.
// The function runs in the thread that cancels, while no other watch of the token can come or go: it must not
// wait.
class CancelWatch {
 public:
  CancelWatch(const CancelToken& token, std::function<void()> on_cancel);
  ~CancelWatch();
  CancelWatch(const CancelWatch&) = delete;
  CancelWatch& operator=(const CancelWatch&) = delete;

 private:
  friend class CancelState;
  std::shared_ptr<CancelState> state_;
  std::function<void()> on_cancel_;
};

}  // namespace detail
}  // namespace trivium
