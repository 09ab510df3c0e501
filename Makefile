# One command for each thing a developer does. The build itself is Meson's; `make help` lists all.
# Variables: BUILD, RELEASE (build directories), CC, PREFIX and DESTDIR (install), and those a target names.

BUILD   ?= build
RELEASE ?= build-release
PREFIX  ?= /usr/local
VENV    := .venv
PYTHON  ?= python3
PY      := $(VENV)/bin/python
NINJA   := ninja
FUZZER  ?= all
SECONDS ?= 60
SEED    ?= 1
STEPS   ?= 1000000
ROUNDS  ?= 200
CONFIG  ?= etc/example.yaml
SCENE   ?= calm

# A sanitizer stops at the first finding, so that a test cannot pass over it.
ASAN_ENV := ASAN_OPTIONS=detect_leaks=1:abort_on_error=1:strict_string_checks=1 \
            UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
TSAN_ENV := TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1

.DEFAULT_GOAL := help
.PHONY: help deps build run test check format demo bench bench-real asan tsan fuzz sim torture cov install clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

deps: ## install every package that building, testing, checking and benchmarks need
	@scripts/deps build test check bench

build: $(BUILD)/build.ninja ## the binary, at build/sluice
	@$(NINJA) -C $(BUILD) sluice

run: ## install what the build needs, build, and start a coordinator with the example configuration
	@scripts/deps build
	@$(MAKE) --no-print-directory build
	@scripts/run $(BUILD)/sluice $(CONFIG)

test: ## install what the tests need, and run them all; the last line counts them
	@rm -f $(BUILD)/tests.count
	@scripts/deps build test
	@$(MAKE) --no-print-directory build tests-built $(VENV)/ready
	@$(PY) scripts/test --build $(BUILD)

check: ## format, lint, tidy, include direction, headers alone, core alone, a second compiler
	@scripts/deps build test check
	@$(MAKE) --no-print-directory $(VENV)/ready
	@scripts/check

format: ## put every C file into the house's format
	@find src tests bench -name '*.[ch]' | xargs clang-format -i

demo: ## recorded traffic against a strict provider, with and without coordination: make demo SCENE=storm
	@scripts/deps build test
	@$(MAKE) --no-print-directory build $(VENV)/ready
	@$(PY) bench/demo.py --binary $(BUILD)/sluice --scene $(SCENE)

bench: ## measure everything, next to its baselines; writes docs/BENCHMARKS.md
	@scripts/deps build test bench
	@$(MAKE) --no-print-directory $(VENV)/ready
	@$(MAKE) --no-print-directory $(RELEASE)/build.ninja
	@$(NINJA) -C $(RELEASE)
	@$(PY) bench/run.py --build $(RELEASE)

bench-real: ## twenty minutes of two recorded traces in real time, through Sluice; takes 50 minutes
	@scripts/deps build test
	@$(MAKE) --no-print-directory build $(VENV)/ready
	@$(PY) bench/real_run.py --binary $(BUILD)/sluice

asan: ## all tests under the address and undefined-behaviour sanitizers
	@scripts/deps build test
	@test -f build-asan/build.ninja || \
		meson setup build-asan -Db_sanitize=address,undefined -Db_lundef=false
	@$(NINJA) -C build-asan
	@$(MAKE) --no-print-directory $(VENV)/ready
	@$(ASAN_ENV) $(PY) scripts/test --build build-asan --slow 4

tsan: ## the tests of what runs in threads, under the thread sanitizer
	@scripts/deps build test
	@test -f build-tsan/build.ninja || meson setup build-tsan -Db_sanitize=thread -Db_lundef=false
	@$(NINJA) -C build-tsan
	@$(MAKE) --no-print-directory $(VENV)/ready
	@$(TSAN_ENV) meson test -C build-tsan --no-rebuild --print-errorlogs --timeout-multiplier 6 \
		--suite journal --suite http --suite server
	@$(TSAN_ENV) SLUICE_BINARY=build-tsan/sluice SLUICE_TEST_SLOW=6 $(PY) -m pytest -q tests/server

fuzz: ## libFuzzer on one parser or on all: make fuzz FUZZER=http SECONDS=60
	@scripts/deps build test check
	@test -f build-fuzz/build.ninja || CC=clang meson setup build-fuzz -Dfuzz=true \
		-Db_sanitize=address,undefined -Db_lundef=false --buildtype=debugoptimized
	@$(NINJA) -C build-fuzz fuzzers
	@$(ASAN_ENV) scripts/fuzz build-fuzz $(FUZZER) $(SECONDS)

sim: ## the simulator against its oracle: make sim SEED=1 STEPS=1000000
	@$(MAKE) --no-print-directory build tests-built
	@$(BUILD)/tests/sim/sim --seed $(SEED) --steps $$(($(STEPS) / 2))
	@$(BUILD)/tests/sim/sim --storm --seed $(SEED) --steps $$(($(STEPS) / 6))
	@$(BUILD)/tests/sim/sim --driver --seed $(SEED) --steps $$(($(STEPS) / 6))
	@$(BUILD)/tests/sim/sim --driver --storm --seed $(SEED) --steps $$(($(STEPS) / 6))

torture: ## kill -9 under load, many times: make torture ROUNDS=200
	@scripts/deps build test
	@$(MAKE) --no-print-directory build $(VENV)/ready
	@$(PY) tests/crash/torture.py --binary $(BUILD)/sluice --rounds $(ROUNDS)

cov: ## which lines the tests reach; writes build-cov/coverage.html
	@scripts/deps build test check
	@test -f build-cov/build.ninja || meson setup build-cov -Db_coverage=true
	@$(NINJA) -C build-cov
	@$(MAKE) --no-print-directory $(VENV)/ready
	@find build-cov -name '*.gcda' -delete
	@$(PY) scripts/test --build build-cov --slow 2
	@gcovr --root . --filter src/ --exclude-throw-branches --html-details build-cov/coverage.html \
		--print-summary build-cov

install: $(RELEASE)/build.ninja ## the binary, as `make bench` measures it, into DESTDIR/PREFIX/bin, and an example
	@$(NINJA) -C $(RELEASE) sluice
	@install -D -m 0755 $(RELEASE)/sluice $(DESTDIR)$(PREFIX)/bin/sluice
	@install -D -m 0644 etc/example.yaml $(DESTDIR)$(PREFIX)/share/doc/sluice/example.yaml
	@install -D -m 0644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/sluice/LICENSE

clean: ## remove every build directory and the virtual environment
	@rm -rf build build-* $(VENV)

# --- What the targets above stand on. ---

# A build directory made by `make run` is without the tests, so that it needs no test packages.
$(BUILD)/build.ninja:
	@meson setup $(BUILD) -Dtests=false

# Optimised as a whole: what is installed, and what is measured.
$(RELEASE)/build.ninja:
	@meson setup $(RELEASE) --buildtype=release -Db_lto=true -Dtests=false

.PHONY: tests-built
tests-built: $(BUILD)/build.ninja
	@test -d $(BUILD)/tests || meson configure $(BUILD) -Dtests=true
	@$(NINJA) -C $(BUILD)

$(VENV)/ready: tests/requirements.txt $(wildcard clients/python/pyproject.toml)
	@scripts/venv $(PYTHON) $(VENV)
