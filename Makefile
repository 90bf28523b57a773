# The few commands that people type; everything else is CMake.  PRESET chooses a build: release
# (default), debug, asan, tsan, each in a folder of its own.
PRESET ?= release
BUILD := $(if $(filter release,$(PRESET)),build,build-$(PRESET))
VENV := build/venv
PYTHON := $(abspath $(VENV))/bin/python

.PHONY: demo test build configure bench gpu-gate fuzz format lint package clean deps deps-python

demo: configure deps-python
	cmake --build --preset $(PRESET) --target halftone_program
	tests/interop/demo.sh $(BUILD)/halftone $(PYTHON) build/demo

test: deps-python build
	ctest --preset $(PRESET) -j2

build: configure
	cmake --build --preset $(PRESET)

configure: deps
	cmake --preset $(PRESET) --log-level=WARNING

bench: deps-python build
	bench/run.sh $(BUILD) $(PYTHON)

gpu-gate: build
	tests/gpu/gate.sh $(BUILD)

fuzz: deps
	third_party/install.sh fuzz
	tests/fuzz/run.sh

format: 
	third_party/install.sh lint
	git ls-files '*.cpp' '*.hpp' '*.cu' '*.cuh' | xargs clang-format -i

lint: configure
	third_party/install.sh lint
	git ls-files '*.cpp' '*.hpp' '*.cu' '*.cuh' | xargs clang-format --dry-run --Werror
	git ls-files 'src/*.cpp' 'tools/*.cpp' | xargs -P2 -n4 clang-tidy --quiet -p $(BUILD)

package: build
	cmake --install $(BUILD) --prefix $(BUILD)/package --strip
	tar -C $(BUILD)/package -czf $(BUILD)/halftone.tar.gz .

clean:
	rm -rf build build-debug build-asan build-tsan build-fuzz

# A build for developers has the tests in it, and so needs what they need.
deps:
	third_party/install.sh build test

deps-python: deps
	third_party/python.sh $(VENV)
