# Makes programs of the README's C++ snippets: readme_program of the one with a main, and readme_snippets, which runs the
# others by number, beginning with 1, with a `client` in reach.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/README.md)
file(READ ${PROJECT_SOURCE_DIR}/README.md rest)
set(count 0)
set(functions "")
set(cases "")
while(TRUE)
  string(FIND "${rest}" "```cpp\n" begin)
  if(begin EQUAL -1)
    break()
  endif()
  math(EXPR begin "${begin} + 7")
  string(SUBSTRING "${rest}" ${begin} -1 rest)
  string(FIND "${rest}" "```" end)
  string(SUBSTRING "${rest}" 0 ${end} snippet)
  math(EXPR end "${end} + 3")
  string(SUBSTRING "${rest}" ${end} -1 rest)
  if(snippet MATCHES "int main")
    file(CONFIGURE OUTPUT readme_program.cc CONTENT "@snippet@" @ONLY)
  else()
    math(EXPR count "${count} + 1")
    string(APPEND functions "void Snippet${count}(const trivium::Client& client) {\n${snippet}}\n\n")
    string(APPEND cases "  if (number == ${count}) Snippet${count}(client);\n")
  endif()
endwhile()
file(CONFIGURE OUTPUT readme_snippets.cc CONTENT [[
#include <trivium/trivium.h>

#include <cstdlib>
#include <iostream>

@functions@int main(int, char** argv) {
  const trivium::Client client;
  const int number = std::atoi(argv[1]);
@cases@}
]] @ONLY)

foreach(program readme_program readme_snippets)
  add_executable(${program} ${CMAKE_CURRENT_BINARY_DIR}/${program}.cc)
  target_compile_options(${program} PRIVATE ${TRIVIUM_QUICK})
  target_link_libraries(${program} PRIVATE trivium::trivium)
endforeach()
set(README_SNIPPET_COUNT ${count})
