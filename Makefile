# One page. `make help` says what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
CARGO := cargo
export CARGO_TERM_COLOR ?= auto
# A release's functions stand in an order (program/link-order.ld), for which each instance of a generic one needs a name of its own.
RELEASE := RUSTFLAGS="$(strip $(RUSTFLAGS) -Csymbol-mangling-version=v0)" $(CARGO)

.PHONY: help run build test test-kube test-keda exactness check fmt lint doc unit golden bench bench-control link-order image-size cluster-up cluster-down fuzz deny setup clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

run: ## the proxy on crds/examples/quickstart: no key, no cluster, no Redis
	@tests/setup/long.sh target/fast/sluicegate
	@$(CARGO) build --profile fast -p sluicegate
	@tests/setup/quickstart.sh target/fast/sluicegate-proxy

build: ## target/release/sluicegate, and the names of its two parts beside it
	$(RELEASE) build --release

test: setup fmt lint doc unit ## everything a change must pass

test-kube: ## what a cluster shows, on another Kubernetes: VERSION=1.33, to 1.37 (as root with real pods)
	@[ -n "$(VERSION)" ] || { echo "which? make test-kube VERSION=1.33, to 1.37" >&2; exit 2; }
	@SLUICEGATE_KUBE_VERSION=$(VERSION) $(MAKE) --no-print-directory setup
	$(CARGO) build --workspace --bins
	SLUICEGATE_KUBE_VERSION=$(VERSION) $(CARGO) test --workspace --test cluster --test chart --test node

test-keda: setup ## the chart's ScaledObject in the hands of KEDA, which is built for it: minutes (root)
	$(CARGO) build --workspace --bins
	tests/setup/keda.sh
	$(CARGO) test --workspace --test node keda:: -- --nocapture

exactness: ## limits, budgets and places in every weather, by 50 consumers and 100 000 calls: half an hour (what `make test` does in short)
	@tests/setup/packages.sh
	$(RELEASE) build --release --workspace --bins
	SLUICEGATE_EXACTNESS=long $(RELEASE) test --release -p sluicegate-tests --test exactness -- long --nocapture --test-threads 1

check: fmt lint ## the quick half of it

setup: ## what the tests need beside Rust, Go, Node and Python: installed when root, named when not
	@tests/setup/packages.sh
	@tests/setup/kubebox.sh >/dev/null
	@[ "$$(id -u)" != 0 ] || tests/setup/coredns.sh >/dev/null

fmt:
	$(CARGO) fmt --all --check

lint:
	$(CARGO) clippy --workspace --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items

# The binaries and the older proxy first: tests from outside start them. No example in the docs is code, so there are no doc tests to run.
unit:
	$(CARGO) build --workspace --bins --examples
	@CARGO=$(CARGO) tests/setup/tests.sh

golden: ## rewrite the golden files and what is generated (CRDs, references), then look at `git diff`
	UPDATE_GOLDEN=1 $(CARGO) test --workspace

bench: ## CPU time per call and the rest, side by side with a bare proxy and nginx; a table of ratios
	$(RELEASE) build --release --workspace --bins
	target/release/bench

link-order: ## rewrites program/link-order.ld, the order of a released proxy's functions (needs valgrind and nm)
	CARGO_PROFILE_RELEASE_STRIP=none $(RELEASE) build --release --target-dir target/link-order --workspace --bin sluicegate --bin sluicegate-simulator
	python3 tests/setup/link_order.py target/link-order/release program/link-order.ld

image-size: ## what the image takes, file by file, and compressed as it is pulled
	$(RELEASE) build --release --workspace --bin sluicegate
	@image/size.sh target/release/sluicegate-proxy target/release/sluicegate-operator

bench-control: ## the control plane: time from create to served and to status, writes, memory (needs no root)
	@tests/setup/kubebox.sh >/dev/null
	$(RELEASE) build --release --workspace --bins
	target/release/bench-control

fuzz: ## every parser that meets bytes from outside, a minute each (FUZZ_SECONDS)
	tests/setup/fuzz.sh

deny: ## licences, bans, advisories; dependencies that nothing uses (needs cargo-deny, cargo-machete)
	@tests/setup/deny.sh

cluster-up: ## a Kubernetes with Sluicegate installed, and the lines that use it (root)
	@tests/setup/long.sh target/fast/sluicegate
	@$(CARGO) build --profile fast --workspace --bins
	@tests/setup/cluster.sh up target/fast

cluster-down: ## takes it away, and leaves nothing
	@tests/setup/cluster.sh down

clean: ## what was built here; caches outside the checkout stay
	$(CARGO) clean
