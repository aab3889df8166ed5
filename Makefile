# Everything that a checkout needs and does. `make help` lists it; nothing here needs a step by hand.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
  $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; done; echo $$name)
BIN := .venv/bin
CRATE := stream_ml/native
CARGO_FLAGS := --locked --manifest-path $(CRATE)/Cargo.toml
EXTRAS := console,demo,dev,drift,export,gpu,loadtest,parquet,retrain,sql
KAFKA := .cache/kafka
PROMETHEUS := .cache/prometheus
CLUSTER := .cache/cluster
RUST_SOURCES := $(shell find $(CRATE)/src $(CRATE)/tests -name '*.rs' 2>/dev/null)

export VIRTUAL_ENV := $(CURDIR)/.venv
export PYO3_PYTHON := $(CURDIR)/.venv/bin/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help setup native kafka redis prometheus chromium cluster demo demo-redis demo-drift docs test test-cluster bench soak ci lint format clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: native kafka redis prometheus chromium ## Create .venv with all that the other targets need, the crate, Kafka, Redis, Prometheus and Chromium for the tests

native: .venv/.native ## Rebuild the crate where its sources changed

kafka: $(KAFKA)/classes.jsa ## Fetch the Kafka broker that the tests start

# Without it a laptop goes on, as without Kafka; CI does not.
redis: ## Install the Redis server that the tests start
	@command -v redis-server >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
	  { apt-get install --yes --quiet=2 redis-server >/dev/null 2>&1 || \
	    { apt-get update --quiet=2 && apt-get install --yes --quiet=2 redis-server >/dev/null; }; }; } || { \
	  echo "no Redis for the tests: redis-server is missing (apt-get install redis-server)" >&2; \
	  test "$${CI:-}" != true; }

# Unpacked, not installed: the package would start a server, and ask for root.
prometheus: ## Fetch Prometheus and promtool, which test the alerts
	@command -v promtool >/dev/null || test -x $(PROMETHEUS)/usr/bin/promtool || { \
	  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null && mkdir -p $(PROMETHEUS) && cd $(PROMETHEUS) && \
	  { apt-get download --quiet=2 prometheus >/dev/null 2>&1 || \
	    { apt-get update --quiet=2 && apt-get download --quiet=2 prometheus >/dev/null; }; } && \
	  dpkg-deb --extract prometheus_*.deb . && rm prometheus_*.deb; } || { \
	  echo "no Prometheus for the tests: promtool is missing (apt-get install prometheus)" >&2; \
	  test "$${CI:-}" != true; }

# Several packages: the browser and what it needs to draw letters.
chromium: ## Install the Chromium that the console's tests drive
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
	  { apt-get install --yes --quiet=2 --no-install-recommends chromium fonts-dejavu-core >/dev/null 2>&1 || \
	    { apt-get update --quiet=2 && \
	      apt-get install --yes --quiet=2 --no-install-recommends chromium fonts-dejavu-core >/dev/null; }; }; } || { \
	  echo "no browser for the tests: chromium is missing (apt-get install chromium)" >&2; \
	  test "$${CI:-}" != true; }

demo: native ## Watch a model learn coupon responses while it serves (about a minute)
	$(BIN)/python -m stream_ml demo $(ARGS)

demo-redis: native redis ## Watch three learners share a model in Redis while one is killed
	$(BIN)/python -m stream_ml demo-redis $(ARGS)

demo-drift: native ## Watch drift being noticed, a better model trained and promoted (about a minute)
	$(BIN)/python -m stream_ml demo-drift $(ARGS)

test: setup ## Run every test (counts reduced: within 15 minutes on two cores)
	cargo test --quiet $(CARGO_FLAGS)
	$(BIN)/python -m compileall -q stream_ml services helm loadtest tests # once, not in each of a thousand processes
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

cluster: $(CLUSTER)/.built ## Build the Kubernetes control plane for `make test-cluster` (minutes, once)

# Not a part of `make test`, for that build.
test-cluster: native cluster ## Install, upgrade, scale and remove the chart on a real Kubernetes API server
	$(BIN)/python -m pytest tests/cluster $(ARGS)

docs: setup ## Make the pages that come from the code, and the site of all pages (.cache/site/index.html)
	$(BIN)/python -m docs.reference
	$(BIN)/mkdocs build --quiet --strict

bench: setup ## Measure, write docs/results, and refresh the README's tables
	$(BIN)/python -m loadtest all $(ARGS)

soak: setup ## Run the tests with full counts (hours)
	$(BIN)/python -m pytest --full-counts --timeout=0 $(ARGS)

ci: lint test ## What CI runs

lint: setup ## Check style and types of Python and Rust
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest --ignore-disjoint-bases stream_ml._native
	cargo fmt --check --manifest-path $(CRATE)/Cargo.toml
	cargo clippy --quiet $(CARGO_FLAGS) --all-targets --features python -- -D warnings

format: setup ## Format Python and Rust
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	cargo fmt --manifest-path $(CRATE)/Cargo.toml

clean: ## Remove what setup made
	rm -rf .venv .cache $(CRATE)/target stream_ml/*.so

# The stamps below are newer than what they were made from; each rule runs again only when that changes.

.venv/.python: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "$(PYTHON): Python 3.11 or newer with venv is needed (apt-get install python3 python3-venv)" >&2; exit 1; }
	@command -v cargo >/dev/null \
	  || { echo "cargo is needed to build the crate, Rust 1.89 or newer (apt-get install rustup, then: rustup default stable)" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt maturin setuptools
	$(BIN)/pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[$(EXTRAS)]'
	touch $@

.venv/.native: .venv/.python $(RUST_SOURCES) $(CRATE)/Cargo.toml $(CRATE)/Cargo.lock
	$(BIN)/maturin develop --quiet --release --locked --skip-install
	touch $@

# A broker that finds its classes there starts in 1.8 s instead of 3.3 (two cores).
$(KAFKA)/classes.jsa: $(KAFKA)/.fetched | .venv/.native
	@if test -e $(KAFKA)/.fetched; then $(BIN)/python -m tests.servers.kafka || echo "brokers of tests start slowly" >&2; fi

# Without Java or Maven a laptop goes on (the tests that need a broker are skipped, and say so); CI does not.
$(KAFKA)/.fetched: tests/servers/kafka-pom.xml
	@if command -v java >/dev/null && command -v mvn >/dev/null; then \
	  mkdir -p $(KAFKA) && rm -rf $(KAFKA)/libs && \
	  mvn --quiet --batch-mode --file tests/servers/kafka-pom.xml dependency:copy-dependencies \
	    -DincludeScope=runtime -DoutputDirectory=$(CURDIR)/$(KAFKA)/libs && touch $@; \
	else \
	  echo "no Kafka for the tests: Java 17 and Maven are missing (apt-get install openjdk-17-jre-headless maven)" >&2; \
	  test "$${CI:-}" != true; \
	fi

# All of a kind in one go: they share most of their packages. What version it is, the chart asks the API server for. kwok is of another
# version of those packages.
$(CLUSTER)/.built: tests/cluster/go.mod tests/cluster/go.sum
	@command -v go >/dev/null || { echo "no control plane for the tests: Go 1.24 or newer is missing" >&2; exit 1; }
	cd tests/cluster && version=$$(go list -m -f '{{.Version}}' k8s.io/kubernetes) && v=k8s.io/component-base/version && \
	  go build -trimpath -o $(CURDIR)/$(CLUSTER)/bin/ -ldflags "-s -w \
	    -X $$v.gitVersion=$$version -X $$v.gitMajor=1 -X $$v.gitMinor=$$(cut -d. -f2 <<< $$version)" tool
	mv $(CLUSTER)/bin/server $(CLUSTER)/bin/etcd # its module is etcd/server
	GOBIN=$(CURDIR)/$(CLUSTER)/bin go install -trimpath -ldflags "-s -w" sigs.k8s.io/kwok/cmd/kwok@v0.7.0
	touch $@
