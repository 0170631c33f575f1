# gRPC and Protobuf, whose versions must be of one kind: those of the distribution.
find_package(Protobuf)
find_package(gRPC CONFIG)
if(NOT TARGET gRPC::grpc++ OR NOT TARGET protobuf::libprotobuf)
  message(FATAL_ERROR "gRPC or Protobuf is missing. On Debian: "
    "apt-get install libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc")
endif()
