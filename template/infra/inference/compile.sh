#!/bin/sh
# Compile llama.cpp: once, about four minutes on two cores; a wheel next to the Dockerfile takes its place.
set -eu
if ls ./*.whl >/dev/null 2>&1; then exit 0; fi
apt-get update -q
apt-get install -qy --no-install-recommends cmake g++ ninja-build
# Not for this machine's CPU alone: the image may run on another (it needs AVX2 on x86-64).
CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_OPENMP=OFF -DLLAVA_BUILD=OFF" \
  pip wheel --no-cache-dir --no-deps --no-build-isolation --require-hashes -r llama.txt
