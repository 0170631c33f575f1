# Generates the messages of the contract. Sets CONTRACT_DIR, where the headers are, and CONTRACT_SOURCES. The function
# contract_stubs generates gRPC's own stubs of a file, which this library does not use but its tests compare it with.
find_program(TRIVIUM_PROTOC protoc)
if(NOT TRIVIUM_PROTOC)
  message(FATAL_ERROR "protoc is missing. On Debian: apt-get install protobuf-compiler")
endif()

set(repository ${PROJECT_SOURCE_DIR}/../..)
set(proto_roots ${repository}/proto ${repository}/third_party)
set(CONTRACT_DIR ${PROJECT_BINARY_DIR}/contract)
file(GLOB_RECURSE own_protos RELATIVE ${repository}/proto CONFIGURE_DEPENDS ${repository}/proto/*.proto)
set(contract_protos ${own_protos} google/rpc/error_details.proto google/rpc/status.proto)
list(TRANSFORM own_protos PREPEND ${repository}/proto/ OUTPUT_VARIABLE proto_files)

list(TRANSFORM proto_roots PREPEND -I OUTPUT_VARIABLE proto_path)
list(TRANSFORM contract_protos REPLACE "proto$" "pb.cc" OUTPUT_VARIABLE CONTRACT_SOURCES)
list(TRANSFORM contract_protos REPLACE "proto$" "pb.h" OUTPUT_VARIABLE contract_headers)
list(TRANSFORM CONTRACT_SOURCES PREPEND ${CONTRACT_DIR}/)
list(TRANSFORM contract_headers PREPEND ${CONTRACT_DIR}/)
file(MAKE_DIRECTORY ${CONTRACT_DIR})
add_custom_command(
  OUTPUT ${CONTRACT_SOURCES} ${contract_headers}
  COMMAND ${TRIVIUM_PROTOC} ${proto_path} --cpp_out=${CONTRACT_DIR} ${contract_protos}
  DEPENDS ${proto_files}
  COMMENT "Generating the messages of the contract"
  VERBATIM)

function(contract_stubs proto out_variable)
  find_program(TRIVIUM_GRPC_PLUGIN grpc_cpp_plugin)
  if(NOT TRIVIUM_GRPC_PLUGIN)
    message(FATAL_ERROR "grpc_cpp_plugin is missing. On Debian: apt-get install protobuf-compiler-grpc")
  endif()
  string(REGEX REPLACE "proto$" "grpc.pb.cc" source ${CONTRACT_DIR}/${proto})
  add_custom_command(
    OUTPUT ${source}
    COMMAND ${TRIVIUM_PROTOC} ${proto_path} --plugin=protoc-gen-grpc=${TRIVIUM_GRPC_PLUGIN} --grpc_out=${CONTRACT_DIR} ${proto}
    DEPENDS ${repository}/proto/${proto}
    COMMENT "Generating the stubs of ${proto}"
    VERBATIM)
  set(${out_variable} ${source} PARENT_SCOPE)
endfunction()
