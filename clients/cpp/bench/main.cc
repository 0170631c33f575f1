// What a call costs here and with gRPC's own stub, side by side: bench [--quick]. Prints one line of JSON;
// times in microseconds, CPU time of the client's process alone.

#include <grpcpp/grpcpp.h>
#include <sys/resource.h>
#include <trivium/trivium.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "server.h"
#include "trivium/v1/generation.grpc.pb.h"

namespace {

using namespace trivium::v1;
using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

double CpuMicroseconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto microseconds = [](const timeval& time) { return time.tv_sec * 1e6 + static_cast<double>(time.tv_usec); };
  return microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
}

double MicrosecondsSince(Clock::time_point begun_at) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begun_at).count();
}

// How long each of many things took, and the CPU time of all.
struct Sample {
  std::vector<double> microseconds;
  double cpu_microseconds = 0;
  double wall_microseconds = 0;
  double units = 0;

  Json Summary(const char* unit) {
    std::sort(microseconds.begin(), microseconds.end());
    const auto at = [&](double part) {
      return microseconds[static_cast<std::size_t>(part * static_cast<double>(microseconds.size() - 1))];
    };
    return {{"p50_us", at(0.5)},
            {"p99_us", at(0.99)},
            {std::string("cpu_us_per_") + unit, cpu_microseconds / units},
            {std::string(unit) + "s_per_s", units / wall_microseconds * 1e6}};
  }
};

// Does something `count` times, each of `units`, and adds what it took.
void Measure(Sample& sample, int count, double units, const std::function<void()>& once) {
  const double cpu = CpuMicroseconds();
  const auto begun_at = Clock::now();
  for (int i = 0; i < count; ++i) {
    const auto one_begun_at = Clock::now();
    once();
    sample.microseconds.push_back(MicrosecondsSince(one_begun_at) / units);
  }
  sample.wall_microseconds += MicrosecondsSince(begun_at);
  sample.cpu_microseconds += CpuMicroseconds() - cpu;
  sample.units += count * units;
}

// Both ways of calling in turns, so that what else the machine does meets both.
Json Compare(const char* unit, int rounds, int count, double units, const std::function<void()>& sdk,
             const std::function<void()>& stub) {
  Sample of_sdk, of_stub, warm_up;
  Measure(warm_up, std::max(1, count / 10), units, sdk);
  Measure(warm_up, std::max(1, count / 10), units, stub);
  for (int round = 0; round < rounds; ++round) {
    Measure(of_sdk, count, units, sdk);
    Measure(of_stub, count, units, stub);
  }
  return {{"sdk", of_sdk.Summary(unit)}, {"stub", of_stub.Summary(unit)}};
}

void Check(bool ok) {
  if (!ok) throw std::runtime_error("a call failed");
}

void InThreads(int count, const std::function<void()>& work) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
}

Json Run(const std::string& target, int rounds) {
  constexpr int kTokens = 2000;
  constexpr int kStreams = 64;
  trivium::ClientOptions options;
  options.target = target;
  const trivium::Client client(options);
  const auto stub = TextGenerationService::NewStub(grpc::CreateChannel(target, grpc::InsecureChannelCredentials()));

  CountTokensRequest count_request;
  *count_request.mutable_input() = trivium::Prompt("smollm2-135m-instruct", "What is the capital of France?");
  StreamGenerateRequest stream_request;
  *stream_request.mutable_input() = count_request.input();
  stream_request.mutable_input()->mutable_sampling()->set_max_output_tokens(kTokens);

  const auto sdk_unary = [&] { Check(client.text().CountTokens(count_request).token_count() == 5); };
  const auto stub_unary = [&] {
    grpc::ClientContext context;
    CountTokensResponse response;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    Check(stub->CountTokens(&context, count_request, &response).ok());
  };
  const auto sdk_stream = [&] {
    auto stream = client.text().StreamGenerate(stream_request);
    std::int64_t events = 0;
    for (const auto& event : stream) events += event.has_delta() ? 1 : 0;
    Check(events == kTokens);
  };
  const auto stub_stream = [&] {
    grpc::ClientContext context;
    const auto reader = stub->StreamGenerate(&context, stream_request);
    StreamGenerateResponse event;
    std::int64_t events = 0;
    while (reader->Read(&event)) events += event.has_delta() ? 1 : 0;
    Check(reader->Finish().ok() && events == kTokens);
  };

  Json results = {{"language", "cpp"}, {"grpc", grpc::Version()}};
  results["unary"] = Compare("call", rounds, 1000, 1, sdk_unary, stub_unary);
  results["stream"] = Compare("token", rounds, 10, kTokens, sdk_stream, stub_stream);
  results["streams_64"] = Compare(
      "token", rounds, 1, kTokens * kStreams, [&] { InThreads(kStreams, sdk_stream); },
      [&] { InThreads(kStreams, stub_stream); });
  return results;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const BenchServer server;
    const bool is_quick = argc == 2 && argv[1] == std::string("--quick");
    std::cout << Run(server.target(), is_quick ? 1 : 10) << std::endl;
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
