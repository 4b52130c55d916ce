# graft_folder(NAME CORE|TENSOR SOURCES …): one OBJECT library graft_<NAME> from a folder of src/graft.
#   CORE    no LibTorch header; becomes part of graft_core (and of libgraft.so)
#   TENSOR  needs LibTorch; becomes part of libgraft.so. Shares one precompiled header. With nvcc its *_cuda.cu files and cuda_table.cpp
#           belong to it, without nvcc cuda_table_none.cpp.
# graft_test(NAME CORE|TENSOR SOURCES … FOLDERS …): one Catch2 executable test_<NAME> over the named folders' objects, label unit.
set(GRAFT_PRIVATE_DEPENDENCIES yaml-cpp::yaml-cpp nlohmann_json::nlohmann_json spdlog::spdlog PkgConfig::PCRE2 graft_utf8proc OpenSSL::Crypto
                               Threads::Threads ${CMAKE_DL_LIBS} ${GRAFT_CUDA_RUNTIME})

# The precompiled header of everything that needs tensors: LibTorch costs 20 s a file without it.
file(WRITE ${CMAKE_BINARY_DIR}/pch/empty.cpp "")
add_library(graft_pch OBJECT EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/pch/empty.cpp)
target_link_libraries(graft_pch PRIVATE graft_warnings graft_libtorch ${GRAFT_PRIVATE_DEPENDENCIES})
target_include_directories(graft_pch PRIVATE ${CMAKE_SOURCE_DIR}/src)
target_precompile_headers(graft_pch PRIVATE <torch/nn.h> <torch/csrc/autograd/custom_function.h> <map> <optional> <string> <vector>)
target_compile_options(graft_pch PRIVATE $<$<BOOL:${GRAFT_CCACHE}>:-fpch-preprocess>)

function(graft_common target kind)
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(${target} PRIVATE graft_warnings ${GRAFT_PRIVATE_DEPENDENCIES})
  if(kind STREQUAL "TENSOR")
    target_link_libraries(${target} PRIVATE graft_libtorch)
    target_precompile_headers(${target} REUSE_FROM graft_pch)
    target_compile_options(${target} PRIVATE $<$<AND:$<BOOL:${GRAFT_CCACHE}>,$<COMPILE_LANGUAGE:CXX>>:-fpch-preprocess>)
  endif()
endfunction()

function(graft_folder name kind)
  cmake_parse_arguments(arg "" "" "SOURCES" ${ARGN})
  if(GRAFT_CUDA_ENABLED)
    list(FILTER arg_SOURCES EXCLUDE REGEX "cuda_table_none\\.cpp$")
    file(GLOB kernels CONFIGURE_DEPENDS *_cuda.cu)
  else()
    list(FILTER arg_SOURCES EXCLUDE REGEX "cuda_table\\.cpp$")
    set(kernels)
  endif()
  add_library(graft_${name} OBJECT ${arg_SOURCES} ${kernels})
  graft_common(graft_${name} ${kind})
  set_property(GLOBAL APPEND PROPERTY GRAFT_${kind}_FOLDERS graft_${name})
endfunction()

function(graft_test name kind)
  cmake_parse_arguments(arg "" "" "SOURCES;FOLDERS" ${ARGN})
  add_executable(test_${name} ${arg_SOURCES} ${CMAKE_SOURCE_DIR}/tests/support/main.cpp)
  graft_common(test_${name} ${kind})
  if(kind STREQUAL "TENSOR")  # the shared precompiled header is -fPIC; executables would get -fPIE and could not use it
    set_target_properties(test_${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(test_${name} PRIVATE -fPIC)
  endif()
  if(GRAFT_SANITIZE)  # GCC's own advice: with -fsanitize this warning has false positives (std::function, c10::optional)
    target_compile_options(test_${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wno-maybe-uninitialized>)
  endif()
  target_include_directories(test_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(test_${name} PRIVATE graft_catch)
  foreach(folder IN LISTS arg_FOLDERS)
    target_sources(test_${name} PRIVATE $<TARGET_OBJECTS:graft_${folder}>)
  endforeach()
  add_test(NAME unit.${name} COMMAND test_${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(unit.${name} PROPERTIES LABELS unit TIMEOUT 600)
endfunction()
