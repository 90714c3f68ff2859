# Everything from a fresh Debian or Ubuntu machine with Swift: `make run`, `make test`.

SWIFT ?= swift
SEEDS ?= 10000

.PHONY: help setup run test test-debug test-release simulate mutations sanitize lint samples docs clean \
	benchmark benchmark-quick benchmark-build benchmark-test

help: ## Lists the targets.
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## Installs the Debian packages that are missing.
	@Tools/setup

run: samples ## Builds with optimisation and runs the pub/sub scenario, verifying each step.
	@"$$($(SWIFT) build -c release --show-bin-path)/samples" scenario

samples: setup ## Builds the samples with optimisation.
	$(SWIFT) build -c release --product samples

test: setup lint simulate test-debug test-release ## Runs all tests.

test-debug:
	$(SWIFT) build --build-tests
	$(SWIFT) test

simulate: samples ## Runs SEEDS seeds over the simulated kernel, and some of them twice, to see that they do the same.
	Tools/simulate "$$($(SWIFT) build -c release --show-bin-path)/samples" $(SEEDS)

mutations: setup ## Shows that the simulation finds deliberate bugs: builds each and runs seeds; takes half an hour.
	Tools/mutate

# What counts allocations means something only in optimised code.
test-release:
	$(SWIFT) test -c release -Xswiftc -enable-testing --scratch-path .build-release --filter 'Allocation|Scenario|IdleMemory'

# Without XCTest, which runs none of our tests and leaks. Leaks are looked for where memory is handled by hand; the scripted
# peers of the other tests hold each other by their closures.
# The acceptance tests at a tenth of their size: it is enough for each rule, and sanitizers are slow.
sanitize: export UR_TEST_SCALE = 0.1
sanitize: setup ## Runs the tests under AddressSanitizer and ThreadSanitizer.
	$(SWIFT) test --disable-xctest --sanitize=address --scratch-path .build-asan --filter UringReactorTests
	ASAN_OPTIONS=detect_leaks=0 $(SWIFT) test --disable-xctest --sanitize=address --scratch-path .build-asan \
		--skip-build --skip UringReactorTests
	TSAN_OPTIONS=suppressions=$(CURDIR)/Tools/tsan-suppressions \
		$(SWIFT) test --disable-xctest --sanitize=thread --scratch-path .build-tsan

lint: ## Checks the rules of the house that a machine can check.
	@Tools/lint

docs: setup ## Makes the documentation, in .build/documentation; a link to nowhere is an error.
	@Tools/docs .build/documentation

BENCHMARK = cd Benchmarks && "$$($(SWIFT) build -c release --show-bin-path)/benchmark" run
BENCHMARK_OUTPUT = --output Results/latest.md --json Results/latest.json

benchmark: benchmark-build ## Measures against twins and other servers; see Benchmarks/README.md. Takes three quarters of an hour.
	$(BENCHMARK) $(BENCHMARK_OUTPUT) $(BENCHMARK_OPTIONS)

benchmark-quick: benchmark-build ## The same for those in a hurry: a part of it, in three minutes.
	$(BENCHMARK) --quick $(BENCHMARK_OUTPUT) $(BENCHMARK_OPTIONS)

benchmark-build: samples ## Installs what the benchmarks need and is missing, and builds them.
	Benchmarks/setup
	Benchmarks/build

benchmark-test: ## Tests the runner of the benchmarks.
	cd Benchmarks && $(SWIFT) test

clean: ## Removes what was built.
	rm -rf .build .build-release .build-asan .build-tsan .build-docs Benchmarks/.build
