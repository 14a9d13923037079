# Step-by-step preference optimization, from Pick-a-Pic parquet files to a better model.
#
#   make spo          all of it: data, preference model, LoRA, images and report
#   make prepare      parquet -> catalog -> latents and text embeddings -> shards
#   make preference   shards -> step-aware preference model
#   make build        the program, .build/release/spo
#   make install      the program and its shell completion, below PREFIX=/usr/local
#   make test         build, lint, and all tests
#   make test-library Parquet, Checkpoints and Diffusion imported by another package (2 minutes)
#   make torture      kills, full disks, flipped bits, hostile models, little memory; SHORT=1, FULL=1 (hours)
#   make test-cluster parts and ranks on a real Slurm of two nodes and others (20 minutes; installs them, as root)
#   make fuzz         every reader of files under the address sanitizer; SHORT=1, FUZZ="--only jpeg"
#   make sanitize     tests of the readers and of the thread team under the sanitizers
#   make check-cuda   compile every kernel for NVIDIA's GPUs, without one; see docs/devices.md
#   make check-opencl the quickstart, reduced, through PoCL: beside the CPU's, killed and resumed (10 minutes)
#   make check-full-size  parts of SD v1.5, SDXL and CLIP ViT-H through PoCL beside the CPU's (20 minutes, 20 GB
#                     of disk); PYTHON or VENV as for bench-peers
#   make check-plans  planned memory beside measured: stages of both quickstarts, benchmarks (20 minutes)
#   make gpu-package  what a GPU machine without Swift needs to check and measure it, as one file; see docs/devices.md
#   make bench        measure speed here; BENCH=operators only some, MODEL=DIR a full-size model as well
#   make bench-peers  beside PyTorch, pyarrow and others; PYTHON=... has them, or VENV=yes installs them
#   make experiments  train the embedded model by each method and write a table (hours); FAST=1 (20 minutes)
#   make docs         write docs/settings.md and Tests/Fixtures/help again, from the program
#   make lint format  check or repair the formatting
#   make base         train the embedded model and make the sample anew (half an hour to an hour)
#   make deps         install missing system libraries (apt-get)
#   make clean        remove the build
#
# PIPELINE=pipelines/NAME.json5 selects a pipeline, WORKSPACE=DIR where its files go.

# A command in front of a pipe that fails is a failure.
SHELL := bash
.SHELLFLAGS := -o pipefail -c

PIPELINE ?= pipelines/quickstart.json5
SPO := .build/release/spo
# A variable that is set but empty goes on to the program, which refuses it.
RUN = $(SPO) run $(PIPELINE) \
  $(if $(filter-out undefined,$(origin WORKSPACE)),--workspace "$(WORKSPACE)")

# Kernels are built for the processor at hand; without this they are built for any of its family.
NATIVE := $(if $(filter x86_64,$(shell uname -m)),-Xcc -march=native)
SWIFT_FLAGS ?= -c release $(NATIVE)
# On a terminal SwiftPM asks the compiler for colours, and what was built without them is built again.
SWIFT_OUTPUT = 2>&1 | cat
PREFIX ?= /usr/local

.PHONY: help deps build install prepare preference spo base docs test test-library torture fuzz fuzz-corpus sanitize \
  experiments test-cluster check-cuda check-opencl check-full-size check-plans gpu-package bench bench-peers lint format clean
.DEFAULT_GOAL := help

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

deps:
	@for package in openblas libpng sqlite3 zlib; do \
	  pkg-config --exists $$package 2>/dev/null || missing=yes; done; \
	if [ "$$missing" = yes ]; then \
	  packages="libsqlite3-dev libpng-dev libopenblas-dev pkg-config"; \
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    apt-get update -qq && apt-get install -y -qq $$packages; \
	  elif command -v apt-get >/dev/null && sudo -n true 2>/dev/null; then \
	    sudo apt-get update -qq && sudo apt-get install -y -qq $$packages; \
	  else echo "please install: $$packages" >&2; exit 1; fi; \
	fi

build: deps
	@test -x $(SPO) || echo "building spo: about 3 minutes on two cores the first time"
	swift build $(SWIFT_FLAGS) $(SWIFT_OUTPUT)

install: build
	install -D -m 755 $(SPO) "$(DESTDIR)$(PREFIX)/bin/spo"
	completion() { mkdir -p "$(DESTDIR)$(PREFIX)/share/$$2" && \
	  $(SPO) completion $$1 > "$(DESTDIR)$(PREFIX)/share/$$2/$$3"; } && \
	  completion bash bash-completion/completions spo && \
	  completion zsh zsh/site-functions _spo && \
	  completion fish fish/vendor_completions.d spo.fish

prepare: build
	$(RUN) --through shard

preference: build
	$(RUN) --through preference

spo: build
	$(RUN)

base: build
	$(SPO) run pipelines/tiny-base.json5 --workspace runs/tiny-base
	rm -rf data/tiny-sd data/pickapic-sample
	cp -r runs/tiny-base/model data/tiny-sd
	mkdir -p data/pickapic-sample && cp -r runs/tiny-base/comparisons/data data/pickapic-sample/
	cp runs/tiny-base/comparisons/*-prompts.json data/

docs: build
	mkdir -p docs && $(SPO) settings --markdown > docs/settings.md
	Tests/Fixtures/help/generate.sh $(SPO)

# Goes on where it was stopped. EXPERIMENTS="--only Diffusion-DPO" and the like goes on to the script.
experiments: build
	python3 Tests/Experiments/experiments.py $(if $(FAST),--fast) $(EXPERIMENTS)

# Planned memory is compared with what the pool holds, which all tests share: alone.
test: deps lint
	swift test $(SWIFT_FLAGS) --disable-testable-imports --skip 'StagePlanTests|KernelMemoryTests' \
	  $(SWIFT_OUTPUT)
	swift test $(SWIFT_FLAGS) --disable-testable-imports --skip-build --no-parallel \
	  --filter 'StagePlanTests|KernelMemoryTests' $(SWIFT_OUTPUT)

# The libraries as a package of one's own imports them.
test-library: deps
	swift run --package-path Tests/Library --scratch-path .build-library Example \
	  $(wildcard data/pickapic-sample/data/validation_unique-*.parquet) data/tiny-sd

# TORTURE="--only kills --seed 7" and the like goes on to the script.
torture: build
	python3 Tests/Torture/torture.py $(if $(SHORT),--minutes 2) $(if $(FULL),--full --minutes 240) \
	  $(TORTURE)

test-cluster: build .venv-cluster/ready
	apt-get install -y -qq --no-install-recommends slurm-wlm slurm-client munge parallel strace openmpi-bin mpich \
	  libpmix-dev
	Tests/Cluster/ranks.sh $(SPO)
	python3 Tests/Cluster/deaths.py $(SPO)
	python3 Tests/Cluster/kills.py $(SPO)
	Tests/Cluster/engines.sh $(SPO) .venv-cluster/bin
	python3 Tests/Cluster/many_parts.py $(SPO)
	Tests/Cluster/slurm.sh $(SPO)

.venv-cluster/ready:
	python3 -m venv .venv-cluster
	.venv-cluster/bin/pip install --quiet kubernetes-validate snakemake
	touch $@

# SPO_TARGETS names what Package.swift keeps: a build with a sanitizer of everything would take long.
# libFuzzer comes with the toolchain's clang; without its main, since the program has its own.
FUZZ_PROGRAM = SPO_TARGETS=Fuzz swift build -c release $(NATIVE) --sanitize=address \
  --scratch-path .build-fuzz --product Fuzz -Xswiftc -enable-testing -Xlinker -lstdc++ \
  -Xswiftc -sanitize-coverage=edge,indirect-calls,trace-cmp,inline-8bit-counters,pc-table \
  -Xlinker "$$(clang -print-file-name=libclang_rt.fuzzer_no_main-$$(uname -m).a)"

fuzz: deps
	$(FUZZ_PROGRAM)
	python3 Tests/Fuzz/fuzz.py $(if $(SHORT),--seconds 4) $(FUZZ)

fuzz-corpus: build
	python3 Tests/Fuzz/make_corpus.py
	$(FUZZ_PROGRAM)
	python3 Tests/Fuzz/fuzz.py --grow $(FUZZ)

sanitize: deps
	SPO_TARGETS="FilesTests ParquetTests ImagingTests CheckpointsTests CatalogTests TelemetryTests" \
	  ASAN_OPTIONS=detect_leaks=0 swift test --sanitize=address --scratch-path .build-address --no-parallel
	SPO_TARGETS=HostResourcesTests swift test --sanitize=thread --scratch-path .build-thread \
	  --no-parallel --filter ThreadsTests

check-cuda: deps .venv-cuda/ready
	VIRTUAL_ENV=$(CURDIR)/.venv-cuda swift test $(SWIFT_FLAGS) --disable-testable-imports \
	  --filter CUDACompilationTests

# DEVICE=cuda checks a GPU instead of PoCL.
check-opencl: build
	rm -rf runs/check-opencl
	POCL_DEVICES=basic python3 Tests/Devices/quickstart.py --device $(or $(DEVICE),opencl) \
	  --folder runs/check-opencl

# PLANS="--only benchmarks" and the like goes on to the script.
check-plans: build
	rm -rf runs/check-plans
	python3 Tests/Plans/planned.py --folder runs/check-plans $(PLANS)

gpu-package: deps
	Tests/Devices/package.sh

# DEVICE=cuda on a GPU; DOORS="--only sdxl --precision tf32" and the like goes on to the script.
check-full-size: build $(if $(VENV),.venv-bench/ready)
	POCL_DEVICES=basic $(or $(PYTHON),$(if $(VENV),.venv-bench/bin/python,python3)) Tests/Devices/full_size.py \
	  --device $(or $(DEVICE),opencl) --folder runs/full-size $(DOORS)

.venv-cuda/ready:
	python3 -m venv .venv-cuda
	.venv-cuda/bin/pip install --quiet nvidia-cuda-nvrtc-cu12
	touch $@

# BENCH="unet operators" measures these alone. MODEL is a folder of Stable Diffusion v1.5, and PREFERENCE
# one of a preference model of its size; the machine should have nothing else to do for half an hour.
FULL_SIZE = $(if $(MODEL),--model $(MODEL)) $(if $(PREFERENCE),--preference $(PREFERENCE))

bench: build
	$(SPO) bench $(BENCH)
	$(if $(MODEL),$(SPO) bench models sizes $(FULL_SIZE))

# PEERS="--only full --rounds 2 --json FILE" and the like goes on to the script.
bench-peers: build $(if $(VENV),.venv-bench/ready)
	$(or $(PYTHON),$(if $(VENV),.venv-bench/bin/python,python3)) Tests/Reference/bench_peers.py \
	  $(FULL_SIZE) $(PEERS)

.venv-bench/ready: Tests/Reference/requirements.txt
	python3 -m venv .venv-bench
	.venv-bench/bin/pip install --quiet -r $<
	touch $@

lint:
	swift format lint --strict --recursive Package.swift Sources Tests

format:
	swift format --in-place --recursive Package.swift Sources Tests

clean:
	swift package clean
	rm -rf .build-fuzz .build-address .build-thread .build-library .build-package
