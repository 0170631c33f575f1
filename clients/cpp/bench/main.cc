// What a call costs here and with gRPC's own stub, side by side. Prints one line of JSON; times in microseconds, CPU
// time of the client's process alone, each figure the median of rounds in which both take turns.

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

constexpr int kRounds = 5;
constexpr int kCalls = 1000;
constexpr int kStreams = 10;
constexpr int kStreamsAtOnce = 64;
constexpr int kTokens = 1000;

// How long each of many things took.
using Durations = std::vector<double>;

// How one side makes a call, and reads a stream: the times from one event to the next.
struct Side {
  std::function<void()> call;
  std::function<Durations()> stream;
};

struct Figures {
  double p50_us = 0;
  double p99_us = 0;
  double cpu_us = 0;
};

double CpuMicroseconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto microseconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
  };
  return microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
}

// Tells the microseconds since it was last asked.
class Stopwatch {
 public:
  double Lap() {
    const auto now = Clock::now();
    return std::chrono::duration<double, std::micro>(now - std::exchange(last_, now)).count();
  }

 private:
  Clock::time_point last_ = Clock::now();
};

// The smallest value that so much of all are not above.
double Percentile(std::vector<double> values, double part) {
  const auto place = static_cast<std::ptrdiff_t>(part * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + place, values.end());
  return values[static_cast<std::size_t>(place)];
}

Durations Calls(const Side& side) {
  Durations durations;
  for (int i = 0; i < kCalls; ++i) {
    Stopwatch stopwatch;
    side.call();
    durations.push_back(stopwatch.Lap());
  }
  return durations;
}

Durations Streams(const Side& side) {
  Durations gaps;
  for (int i = 0; i < kStreams; ++i)
    for (const double gap : side.stream()) gaps.push_back(gap);
  return gaps;
}

Durations StreamsAtOnce(const Side& side) {
  std::vector<Durations> of_each(kStreamsAtOnce);
  std::vector<std::thread> threads;
  for (Durations& gaps : of_each) threads.emplace_back([&] { gaps = side.stream(); });
  for (std::thread& thread : threads) thread.join();
  Durations all;
  for (const Durations& gaps : of_each) all.insert(all.end(), gaps.begin(), gaps.end());
  return all;
}

Figures Measure(Durations (*workload)(const Side&), const Side& side) {
  const double cpu = CpuMicroseconds();
  const Durations durations = workload(side);
  const double used = CpuMicroseconds() - cpu;
  return {Percentile(durations, 0.5), Percentile(durations, 0.99), used / static_cast<double>(durations.size())};
}

Json Medians(const std::vector<Figures>& rounds) {
  const auto median = [&](double Figures::*figure) {
    std::vector<double> values;
    for (const Figures& round : rounds) values.push_back(round.*figure);
    return Percentile(values, 0.5);
  };
  return {
      {"p50_us", median(&Figures::p50_us)}, {"p99_us", median(&Figures::p99_us)}, {"cpu_us", median(&Figures::cpu_us)}};
}

Json Compare(Durations (*workload)(const Side&), const Side& stub, const Side& sdk) {
  workload(stub);  // warms up
  workload(sdk);
  std::vector<Figures> of_stub, of_sdk;
  for (int round = 0; round < kRounds; ++round) {
    of_stub.push_back(Measure(workload, stub));
    of_sdk.push_back(Measure(workload, sdk));
  }
  return {{"stub", Medians(of_stub)}, {"sdk", Medians(of_sdk)}};
}

void Check(bool ok) {
  if (!ok) throw std::runtime_error("a call failed");
}

Side StubSide(TextGenerationService::Stub& stub, const CountTokensRequest& count,
              const StreamGenerateRequest& generate) {
  return {[&] {
            grpc::ClientContext context;
            CountTokensResponse response;
            Check(stub.CountTokens(&context, count, &response).ok());
          },
          [&] {
            grpc::ClientContext context;
            Durations gaps;
            Stopwatch stopwatch;
            const auto reader = stub.StreamGenerate(&context, generate);
            for (StreamGenerateResponse event; reader->Read(&event);) gaps.push_back(stopwatch.Lap());
            Check(reader->Finish().ok());
            return gaps;
          }};
}

Side SdkSide(const trivium::Client& client, const CountTokensRequest& count, const StreamGenerateRequest& generate) {
  return {[&] { client.text().CountTokens(count); },
          [&] {
            Durations gaps;
            Stopwatch stopwatch;
            auto stream = client.text().StreamGenerate(generate);
            for (StreamGenerateResponse event; stream.Read(event);) gaps.push_back(stopwatch.Lap());
            return gaps;
          }};
}

Json Run(const std::string& target) {
  trivium::ClientOptions options;
  options.target = target;
  const trivium::Client client(options);
  const auto stub = TextGenerationService::NewStub(grpc::CreateChannel(target, grpc::InsecureChannelCredentials()));
  CountTokensRequest count;
  *count.mutable_input() = trivium::Prompt("any", "What is the capital of Japan?");
  StreamGenerateRequest generate;
  *generate.mutable_input() = count.input();
  generate.mutable_input()->mutable_sampling()->set_max_output_tokens(kTokens);

  const Side stub_side = StubSide(*stub, count, generate);
  const Side sdk_side = SdkSide(client, count, generate);
  return {{"language", "cpp"},
          {"runtime", "g++ " + std::string(__VERSION__) + ", grpc " + grpc::Version()},
          {"rounds", kRounds},
          {"unary_call", Compare(Calls, stub_side, sdk_side)},
          {"streamed_token", Compare(Streams, stub_side, sdk_side)},
          {"streamed_token_64_at_once", Compare(StreamsAtOnce, stub_side, sdk_side)}};
}

}  // namespace

int main() {
  try {
    const BenchServer server;
    std::cout << Run(server.target()) << std::endl;
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
