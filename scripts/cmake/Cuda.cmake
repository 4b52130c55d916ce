# CUDA kernels: every src/graft/<folder>/*_cuda.cu, compiled when nvcc is there (GRAFT_CUDA=AUTO), always (ON) or never (OFF).
# A machine with nvcc and no GPU compiles them. The GPU itself needs none of them: LibTorch's own kernels are opened at run time.
string(TOUPPER "${GRAFT_CUDA}" GRAFT_CUDA)
if(NOT GRAFT_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "GRAFT_CUDA is AUTO, ON or OFF, not '${GRAFT_CUDA}'")
endif()
file(GLOB_RECURSE GRAFT_CUDA_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/graft/*_cuda.cu)
set(GRAFT_CUDA_ENABLED OFF)
if(NOT GRAFT_CUDA STREQUAL "OFF")
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(GRAFT_CUDA_ENABLED ON)
  elseif(GRAFT_CUDA STREQUAL "ON")
    message(FATAL_ERROR "GRAFT_CUDA=ON, but nvcc was not found. Put it on PATH, set CUDACXX, or use GRAFT_CUDA=AUTO.")
  endif()
endif()
if(GRAFT_CUDA_ENABLED)
  set(CMAKE_CUDA_STANDARD 17)  # CMake 3.25 knows no CUDA20
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
  string(APPEND CMAKE_CUDA_FLAGS " --expt-relaxed-constexpr")  # constexpr functions of plain headers run on the GPU too
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80 86 89 90)  # Ampere, Ada, Hopper; newer cards compile the last one's PTX when they load it
  endif()
  enable_language(CUDA)
  find_package(CUDAToolkit REQUIRED)
  # The runtime is linked in: a machine without a GPU needs no CUDA library to load libgraft.so.
  set(GRAFT_CUDA_RUNTIME CUDA::cudart_static)
endif()
list(LENGTH GRAFT_CUDA_SOURCES graft_cuda_count)
message(STATUS "CUDA kernels: ${GRAFT_CUDA} (compiler: ${CMAKE_CUDA_COMPILER}; ${graft_cuda_count} kernel files)")
