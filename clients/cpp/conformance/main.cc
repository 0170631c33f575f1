// The runner of the conformance suite for C++: a case a line on standard input, its result a line on standard
// output.

#include <condition_variable>
#include <iostream>
#include <thread>

#include "run.h"

namespace {

using conformance::Json;
using conformance::Run;

// Cancels a case from beside it after a while, unless it is over before.
class LateCancel {
 public:
  explicit LateCancel(const Run& run) {
    if (!run.act().cancel_after_s) return;
    const std::chrono::duration<double> delay(*run.act().cancel_after_s);
    thread_ = std::thread([this, &run, delay] {
      std::unique_lock lock(mutex_);
      if (!changed_.wait_for(lock, delay, [this] { return is_over_; })) run.cancel().Cancel();
    });
  }

  ~LateCancel() {
    {
      std::lock_guard lock(mutex_);
      is_over_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_over_ = false;
  std::thread thread_;
};

Json Result(const Json& given) {
  using Clock = std::chrono::steady_clock;
  const auto begun_at = Clock::now();
  const auto elapsed_s = [&] { return std::chrono::duration<double>(Clock::now() - begun_at).count(); };
  Run run(given);
  try {
    const trivium::Client client(run.client());
    if (run.act().cancel_before) run.cancel().Cancel();
    const LateCancel late(run);
    if (!conformance::CallMethod(run, client))
      return {{"case", given["case"]}, {"unsupported", "there is no method " + run.method()}};
    return run.Result(nullptr, elapsed_s());
  } catch (const trivium::Error& error) {
    return run.Result(&error, elapsed_s());
  }
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    const Json given = Json::parse(line);
    Json result;
    try {
      result = Result(given);
    } catch (const std::exception& error) {
      result = {{"case", given.value("case", "")}, {"unsupported", error.what()}};
    }
    std::cout << result.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
  }
  return 0;
}
