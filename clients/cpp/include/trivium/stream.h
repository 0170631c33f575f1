#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "trivium/detail/call.h"

namespace trivium {
namespace detail {

// An input iterator over what `source.Read(value)` gives.
template <class Source, class Value>
class ReadIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = Value;
  using difference_type = std::ptrdiff_t;
  using pointer = Value*;
  using reference = Value&;

  // What `*it++` looks at.
  struct Previous {
    Value value;
    Value& operator*() { return value; }
  };

  ReadIterator() = default;
  explicit ReadIterator(Source* source) : source_(source) { ++*this; }

  reference operator*() const { return value_; }
  pointer operator->() const { return &value_; }
  ReadIterator& operator++() {
    if (!source_->Read(value_)) source_ = nullptr;
    return *this;
  }
  Previous operator++(int) {
    Previous previous{std::move(value_)};
    ++*this;
    return previous;
  }
  // Two are equal where both are at the end, as range-for asks.
  bool operator==(const ReadIterator& other) const { return source_ == other.source_; }
  bool operator!=(const ReadIterator& other) const { return source_ != other.source_; }

 private:
  Source* source_ = nullptr;
  mutable Value value_{};
};

}  // namespace detail

// The responses of a call. Iterate it once:
//
//     for (const auto& event : client.text().StreamGenerate(request)) …
//
// The call was sent when the stream was made. Reading it to the end, its destructor and Cancel each end the
// call, at the server too. Reading throws Error: of the kinds kServerUnavailable, kConnectionLost,
// kTruncatedStream, kStreamIdleTimeout and kCancelled, or of what the server says; and throws it again when
// it is read again. Events and fields that this version does not know are given as they are.
//
// Not for several threads at once, except Cancel. It may outlive its client, whose end cancels it.
template <class Response>
class Stream {
 public:
  using iterator = detail::ReadIterator<Stream, Response>;

  Stream(std::shared_ptr<detail::Connection> connection, const char* method, detail::Ending ending,
         const google::protobuf::Message& request, const CallOptions& options)
      : call_(std::make_unique<detail::StreamCall>(std::move(connection), method, ending, &request, options)) {}

  // Waits for the next response and puts it into `response`. Returns false at the end.
  bool Read(Response& response) { return call_->Read(response); }

  // Ends the call, unless it is over. From any thread; what is read after it throws kCancelled.
  void Cancel() { call_->Cancel(); }

  // The request id that was sent.
  const std::string& request_id() const { return call_->request_id(); }

  iterator begin() { return iterator(this); }
  iterator end() { return iterator(); }

 private:
  std::unique_ptr<detail::StreamCall> call_;
};

// A call in which both sides stream. As a Stream, and one thread may write while another one reads:
//
//     stream.Write(setup);
//     std::thread sender([&] { while (…) stream.Write(audio); stream.WritesDone(); });
//     for (const auto& event : stream) …
//     sender.join();
//
// Nothing is sent before the first Write. A caller that writes very much before it reads may wait for ever: a
// server takes no more than what it can answer.
template <class Request, class Response>
class DuplexStream {
 public:
  using iterator = detail::ReadIterator<DuplexStream, Response>;

  DuplexStream(std::shared_ptr<detail::Connection> connection, const char* method, const CallOptions& options)
      : call_(std::make_unique<detail::StreamCall>(std::move(connection), method, detail::Ending::kCompletedEvent,
                                                   nullptr, options)) {}

  // Sends a request; waits while the server takes no more. Returns false, and sends nothing, after WritesDone
  // and where the call is over: reading says why. Throws Error of kind kInvalidCall for a request that is too
  // large.
  bool Write(const Request& request) { return call_->Write(request); }

  // Says that no request follows (half-closes), after a Write that is under way. May be called twice, and by
  // the thread that reads, for example when the server says that it goes away.
  void WritesDone() { call_->WritesDone(); }

  // Waits for the next response and puts it into `response`. Returns false at the end.
  bool Read(Response& response) { return call_->Read(response); }

  // Ends the call, unless it is over. From any thread; what is read after it throws kCancelled.
  void Cancel() { call_->Cancel(); }

  // The request id that was sent.
  const std::string& request_id() const { return call_->request_id(); }

  iterator begin() { return iterator(this); }
  iterator end() { return iterator(); }

 private:
  std::unique_ptr<detail::StreamCall> call_;
};

}  // namespace trivium
