#include "trivium/cancel.h"

#include <mutex>
#include <set>
#include <utility>

namespace trivium {
namespace detail {

class CancelState {
 public:
  bool cancelled() const {
    std::lock_guard lock(mutex_);
    return cancelled_;
  }

  void Cancel() {
    std::lock_guard lock(mutex_);
    if (std::exchange(cancelled_, true)) return;
    for (CancelWatch* watch : watches_) watch->on_cancel_();
  }

  void Add(CancelWatch* watch) {
    std::lock_guard lock(mutex_);
    watches_.insert(watch);
    if (cancelled_) watch->on_cancel_();
  }

  void Remove(CancelWatch* watch) {
    std::lock_guard lock(mutex_);
    watches_.erase(watch);
  }

 private:
  mutable std::mutex mutex_;
  bool cancelled_ = false;
  std::set<CancelWatch*> watches_;
};

CancelWatch::CancelWatch(const CancelToken& token, std::function<void()> on_cancel)
    : state_(token.state_), on_cancel_(std::move(on_cancel)) {
  if (state_) state_->Add(this);
}

CancelWatch::~CancelWatch() {
  if (state_) state_->Remove(this);
}

}  // namespace detail

bool CancelToken::cancelled() const { return state_ && state_->cancelled(); }

CancelSource::CancelSource() : state_(std::make_shared<detail::CancelState>()) {}

void CancelSource::Cancel() const { state_->Cancel(); }

}  // namespace trivium
