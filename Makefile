# Everything a fresh machine with Go and a C compiler (for the race detector)
# needs to build, run and test Chiron. `make` lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Where the real peers lie; clones may share a folder.
export CHIRON_TOOLS_DIR := $(abspath $(or $(CHIRON_TOOLS_DIR),.tools))
TOOLS    := $(CHIRON_TOOLS_DIR)
PKG      := ./...
BENCH    ?= .
COUNT    ?= 1
FUZZTIME ?= 10s
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
REVISION := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
INFO     := github.com/prometheus/common/version
LDFLAGS  := -s -w -X $(INFO).Version=$(VERSION) -X $(INFO).Revision=$(REVISION)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: build
build: ## bin/chiron
	@echo "building bin/chiron (the first time takes some minutes)"
	@CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/chiron ./cmd/chiron

.PHONY: run
run: build ## start Chiron watching itself; needs no other service
	@exec bin/chiron serve --config.file=deploy/examples/chiron.yaml

.PHONY: test
test: compiler lint test-short race ## everything: lint, the quick part, then all with -race and real peers

.PHONY: test-short
test-short: ## the quick part: no other process is needed
	go test -short $(PKG)

.PHONY: compiler
compiler:
	@command -v $$(go env CC) >/dev/null || { echo "the race detector needs a C compiler (Debian: apt-get install gcc libc6-dev)" >&2; exit 1; }

.PHONY: race
race: compiler tools-prom tools-peers tools-kube ## all tests with the race detector and real peers
	go test -timeout 30m ./rules/detect/... # what counts says nothing under the race detector
	CGO_ENABLED=1 go test -race -timeout 30m $(PKG)

.PHONY: e2e
e2e: tools-prom tools-kube ## only the loop as one test
	go test -count=1 -v -timeout 20m ./internal/e2e

.PHONY: crash
crash: ## kill Chiron under load KILLS times (default 200), look for every sample and model after each
	CHIRON_KILLS=$(or $(KILLS),200) go test -count=1 -v -timeout 60m -run 'TestCrash|TestFullDisk' ./internal/e2e
	CHIRON_KILLS=$(or $(KILLS),200) go test -count=1 -v -timeout 60m -run '^TestKill$$' ./tsdbcache
	CHIRON_KILLS=$(or $(KILLS),200) go test -count=1 -v -timeout 60m -run '^TestModelsOutliveKills$$' ./rules

.PHONY: lint
lint: tools-lint ## gofmt and golangci-lint, go vet in it
	@files=$$(gofmt -l $$(go list -f '{{.Dir}}' $(PKG))); test -z "$$files" || { printf 'not formatted; run make fmt:\n%s\n' "$$files" >&2; exit 1; }
	$(TOOLS)/bin/golangci-lint run --timeout 30m $(PKG)

.PHONY: vuln
vuln: tools-vuln ## known vulnerabilities in what is called; asks vuln.go.dev, or GOVULNDB
	$(TOOLS)/bin/govulncheck $(if $(GOVULNDB),-db $(GOVULNDB)) $(PKG)

.PHONY: fmt
fmt: tools-lint ## format all Go files
	$(TOOLS)/bin/golangci-lint fmt $(PKG)

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (default 10s)
	@packages=$$(go list $(PKG)); \
	for pkg in $$packages; do \
		tests=$$(go test -list '^Fuzz' $$pkg) || { echo "$$tests" >&2; exit 1; }; \
		for f in $$(grep '^Fuzz' <<<"$$tests" || true); do \
			echo "$$pkg $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$pkg; \
		done; \
	done

.PHONY: bench
bench: ## benchmarks, ready for benchstat: BENCH=pattern COUNT=10
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) -timeout 60m ./bench/... ./tsdbcache/... ./receiver/... ./rules/...

.PHONY: bench-detection
bench-detection: ## all models over labelled public series: DATA=directory MODEL=auto,mad SET=nab-dev
	@test -n "$(DATA)" || { echo "want DATA=directory of the data sets; docs/models.md says where they come from" >&2; exit 2; }
	@go run ./bench/detection -data '$(DATA)' -model '$(MODEL)' -set '$(SET)'

.PHONY: bench-scenarios
bench-scenarios: ## models on generated incidents: MODEL=auto,mad SEEDS=1-3 KINDS='leak*' SPEC=file ARGS=-details
	@go run ./bench/detection scenarios -model '$(or $(MODEL),auto)' -seeds '$(or $(SEEDS),1-3)' -kinds '$(KINDS)' -spec '$(SPEC)' $(ARGS)

.PHONY: tune-detection
tune-detection: ## choose a detector's constants and measure the choice on what was left out: DATA=directory MEMO=file ARGS='-eval -fast'
	@test -n "$(DATA)" || { echo "want DATA=directory of the data sets; docs/models.md says where they come from" >&2; exit 2; }
	@go run ./bench/detection tune -data '$(DATA)' -memo '$(MEMO)' -model '$(or $(MODEL),auto)' $(ARGS)

# Scale and choice of bench-peers, and where other binaries of the peers lie.
PEERS        ?= chiron,prometheus,victoriametrics
PARTS        ?= ingest,query
SERIES       ?= 100000
ROUNDS       ?= 61
HOURS        ?= 1
QUERY_SERIES ?= 100000
OUT          ?=
bench-peers: CHIRON           ?= bin/chiron
bench-peers: PROMETHEUS       ?= $(TOOLS)/bin/prometheus
bench-peers: VICTORIA_METRICS ?= $(TOOLS)/bin/victoria-metrics

.PHONY: bench-peers
bench-peers: build ## Chiron, Prometheus and VictoriaMetrics side by side: PEERS= PARTS= SERIES= ROUNDS= HOURS=
	@tools/build prometheus victoria-metrics
	@go build -o bin/bench-peers ./bench/peers
	@bin/bench-peers -peers '$(PEERS)' -parts '$(PARTS)' -series $(SERIES) -rounds $(ROUNDS) -hours $(HOURS) -query-series $(QUERY_SERIES) -o '$(OUT)' \
		-chiron '$(CHIRON)' -prometheus '$(PROMETHEUS)' -victoriametrics '$(VICTORIA_METRICS)'

.PHONY: tools
tools: ## real peers and development tools, built from the Go module proxy into .tools
	@tools/build

.PHONY: tools-prom tools-peers tools-kube tools-lint tools-vuln
tools-prom tools-peers tools-kube tools-lint tools-vuln: tools-%:
	@tools/build $*

.PHONY: clean
clean: ## remove what was built, tools included
	rm -rf bin .tools
