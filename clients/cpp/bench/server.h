#pragma once

#include <sys/types.h>

#include <string>

// A server without a model, in a process of its own so that its CPU time is not the client's: CountTokens
// answers at once, and StreamGenerate sends max_output_tokens deltas as fast as it can.
class BenchServer {
 public:
  // Forks: to be made before anything of gRPC.
  BenchServer();
  // Ends the process.
  ~BenchServer();
  BenchServer(const BenchServer&) = delete;
  BenchServer& operator=(const BenchServer&) = delete;

  const std::string& target() const { return target_; }

 private:
  pid_t process_ = 0;
  std::string target_;
};
