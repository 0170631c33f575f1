#include <atomic>

#include "event_rules.h"
#include "messages.h"
#include "replay.h"
#include "stream_attempt.h"
#include "trivium/detail/call.h"

namespace trivium::detail {

class StreamCall::Impl {
 public:
  Impl(std::shared_ptr<Connection> connection, const char* method, Ending ending,
       const google::protobuf::Message* request, const CallOptions& options)
      : connection_(std::move(connection)),
        method_(method),
        is_duplex_(request == nullptr),
        settings_(*connection_, options, std::nullopt),
        idle_timeout_(options.idle_timeout.value_or(connection_->options().idle_timeout)),
        may_be_silent_(ending != Ending::kCompletedEvent && !options.idle_timeout),
        rules_(ending),
        canceller_(settings_.cancel(), connection_->closing().token()) {
    if (request != nullptr) {
      request_ = Serialized(*request, connection_->options().max_message_bytes);
      replay_ = Replay::Of(*request);
    }
    Begin();
  }

  bool Read(google::protobuf::Message& response) {
    if (error_) throw *error_;
    try {
      while (!is_over_) {
        if (canceller_.cancelled() && !rules_.is_complete()) throw Cancelled();
        grpc::ByteBuffer bytes;
        switch (ReadInTime(bytes)) {
          case StreamAttempt::Got::kMessage:
            if (Accept(bytes, response)) return true;
            break;
          case StreamAttempt::Got::kEnd:
            End();
            break;
          case StreamAttempt::Got::kNothingInTime:
            Expire();
            break;
        }
      }
    } catch (const Error& error) {
      error_ = error;
      attempt_->Cancel();
      throw;
    }
    return false;
  }

  bool Write(const google::protobuf::Message& request) {
    std::lock_guard lock(write_mutex_);
    if (writes_done_at_.load() != kNotYet) return false;
    return attempt_->Write(Serialized(request, connection_->options().max_message_bytes));
  }

  void WritesDone() {
    std::lock_guard lock(write_mutex_);
    if (writes_done_at_.load() != kNotYet) return;
    writes_done_at_ = Clock::now();
    attempt_->WritesDone();
  }

  void Cancel() { canceller_.Cancel(); }

  const std::string& request_id() const { return settings_.request_id(); }

 private:
  static constexpr Clock::time_point kNotYet = Clock::time_point::max();

  void Begin() {
    attempt_.reset();
    attempt_ = std::make_unique<StreamAttempt>(*connection_, method_, settings_, canceller_);
    if (!is_duplex_) attempt_->Send(request_);
  }

  StreamAttempt::Got ReadInTime(grpc::ByteBuffer& bytes) {
    if (idle_timeout_ >= kLongestTimeout) return attempt_->Read(bytes, nullptr);
    const Clock::time_point begun_at = Clock::now();
    return attempt_->Read(bytes, [this, begun_at]() -> std::optional<Clock::time_point> {
      const auto silent_since = SilentSince(begun_at);
      if (!silent_since) return std::nullopt;
      return *silent_since + idle_timeout_;
    });
  }

  // Since when silence counts in a read that began then; nothing where it does not. Where the caller still
  // has something to say, a server need not.
  std::optional<Clock::time_point> SilentSince(Clock::time_point begun_at) const {
    if (may_be_silent_) return std::nullopt;
    if (!is_duplex_ || !answer_begun_) return begun_at;
    const Clock::time_point writes_done_at = writes_done_at_;
    if (writes_done_at == kNotYet) return std::nullopt;
    return std::max(begun_at, writes_done_at);
  }

  // Returns whether the caller is to get the event.
  bool Accept(grpc::ByteBuffer& bytes, google::protobuf::Message& response) {
    answer_begun_ = true;
    Parse(bytes, response, request_id());
    const Replay::Verdict verdict = replay_ ? replay_->Take(response) : Replay::Verdict::kNew;
    if (verdict == Replay::Verdict::kDifferent) throw loss_.value();
    if (verdict == Replay::Verdict::kKnown) return false;
    if (const auto problem = rules_.Take(response)) throw Truncated(*problem);
    return true;
  }

  // The server ended the call: this is its end, or it is sent again, or it is lost.
  void End() {
    const grpc::Status status = attempt_->Finish();
    if (rules_.is_complete()) {  // what follows the terminal event takes nothing away
      is_over_ = true;
      return;
    }
    if (canceller_.cancelled()) throw Cancelled();
    if (status.ok()) throw Truncated("the stream ended without its terminal event; the answer is not whole");
    const Failure failure =
        ReadFailure(status, attempt_->trailers(), connection_->address(), request_id(), answer_begun_);
    if ((answer_begun_ && !replay_) || is_duplex_) throw failure.error;
    if (replay_ && replay_->has_progressed()) settings_.RenewAttempts();
    const RetryPolicy& policy = connection_->options().retry;
    const auto delay = DelayBeforeRetry(policy, failure, settings_.attempts(), settings_.left());
    if (!delay) throw failure.error;
    if (!canceller_.Sleep(*delay)) throw Cancelled();
    loss_ = failure.error;
    if (replay_) replay_->Restart();
    Begin();
  }

  void Expire() {
    attempt_->Cancel();
    if (!rules_.is_complete())
      throw MakeError(Error::Kind::kStreamIdleTimeout, StatusCode::DEADLINE_EXCEEDED,
                      "no message for " + std::to_string(idle_timeout_.count()) + " ms", request_id());
    is_over_ = true;
  }

  Error Cancelled() const {
    return MakeError(Error::Kind::kCancelled, StatusCode::CANCELLED, "the stream was cancelled", request_id());
  }

  Error Truncated(const std::string& what) const {
    return MakeError(Error::Kind::kTruncatedStream, StatusCode::DATA_LOSS, what, request_id());
  }

  const std::shared_ptr<Connection> connection_;
  const char* const method_;
  const bool is_duplex_;
  CallSettings settings_;
  const std::chrono::milliseconds idle_timeout_;
  const bool may_be_silent_;
  EventRules rules_;
  grpc::ByteBuffer request_;
  Canceller canceller_;
  // What follows belongs to the reading thread.
  std::optional<Replay> replay_;  // where a stream that breaks goes on in another one
  std::optional<Error> loss_;     // how the stream before this one broke
  bool answer_begun_ = false;
  bool is_over_ = false;
  std::optional<Error> error_;
  // What follows, to the writing ones.
  std::mutex write_mutex_;
  std::atomic<Clock::time_point> writes_done_at_ = kNotYet;
  // Of a stream of requests there is only one, so that both may use it.
  std::unique_ptr<StreamAttempt> attempt_;
};

StreamCall::StreamCall(std::shared_ptr<Connection> connection, const char* method, Ending ending,
                       const google::protobuf::Message* request, const CallOptions& options)
    : impl_(std::make_unique<Impl>(std::move(connection), method, ending, request, options)) {}

StreamCall::~StreamCall() = default;

bool StreamCall::Read(google::protobuf::Message& response) { return impl_->Read(response); }

bool StreamCall::Write(const google::protobuf::Message& request) { return impl_->Write(request); }

void StreamCall::WritesDone() { impl_->WritesDone(); }

void StreamCall::Cancel() { impl_->Cancel(); }

const std::string& StreamCall::request_id() const { return impl_->request_id(); }

}  // namespace trivium::detail
