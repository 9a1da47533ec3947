# `make help` says what there is.
#
# Everything is built for this machine, from source, by the Go tool; bin/, .cache/
# and Go's own caches only save time. Variables can be given on the command line:
# `make test GO=/opt/go/bin/go FUZZTIME=1m`.

GO       ?= go
FUZZTIME ?= 2s
BENCH    ?= .
# What the tests are run with. In a shuffled order they always run anew.
TESTFLAGS ?= -race -shuffle=on -timeout=15m

# What `refresher version` says.
VERSION ?= $(shell git describe --tags --match 'v[0-9]*' --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git describe --always --abbrev=12 --exclude '*' --dirty 2>/dev/null)
DATE    ?= $(shell git log -1 --format=%cI 2>/dev/null)
LDFLAGS  = -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(DATE)
# What every build of the service is given; the Dockerfile says the same. Time zones
# are in the program, since a schedule may name one.
BUILDFLAGS = -buildvcs=false -trimpath -tags timetzdata -ldflags '$(LDFLAGS)'

# Modules of their own, so that the service's go.mod stays light.
TEST_MODULES := $(patsubst %/go.mod,%,$(wildcard test/go.mod test/*/go.mod))
CODE_MODULES := . $(TEST_MODULES) tools/vault-dev tools/release
ALL_MODULES  := $(CODE_MODULES) tools/lint tools/chart tools/kube

# each runs a command in the folder of each module, in all of them even if it
# fails in one, and says where it did.
each = failed=; for module in $(1); do (cd "$$module" && $(2)) || failed="$$failed $$module"; done; \
	[ -z "$$failed" ] || { echo "make: failed in:$$failed" >&2; exit 1; }

MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help
# Two builds at once would only take each other's cores: the Go tool uses them all.
.NOTPARALLEL:
.DELETE_ON_ERROR:

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^## / { printf "\n%s\n", substr($$0, 4) } \
		/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

## To use it

# Not by `go run`, which calls it an error if Ctrl-C ends a program in good order.
.PHONY: demo
demo: ## See it work: five simulated providers, an embedded Vault, no set-up (FOR=20s: end by itself)
	@echo 'Building the demo. The first time takes a minute.'
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && trap : INT && \
	$(GO) build -buildvcs=false -o "$$dir/demo" ./cmd/demo && "$$dir/demo" $(if $(FOR),-for $(FOR)) $(ARGS)

.PHONY: build
build: ## Build bin/refresher, a static program
	CGO_ENABLED=0 $(GO) build $(BUILDFLAGS) -o bin/refresher ./cmd/refresher

.PHONY: image
image: ## Build the container image with docker, podman or buildah (IMAGE=, TAG=, PLATFORM=linux/arm64)
	@IMAGE='$(IMAGE)' TAG='$(TAG)' PLATFORM='$(PLATFORM)' VERSION='$(VERSION)' COMMIT='$(COMMIT)' DATE='$(DATE)' \
		SOURCE_DATE_EPOCH="$$(git log -1 --format=%ct 2>/dev/null)" sh tools/image.sh $(ARGS)

.PHONY: release
release: tools-chart ## Build archives, SBOMs, the chart and checksums into dist/ (VERSION=v1.2.3)
	@rm -rf dist
	@cd tools/release && $(GO) run . -version '$(VERSION)' -commit '$(COMMIT)' -date '$(DATE)' -- $(BUILDFLAGS)

## To test it

.PHONY: test
test: redis tools-vault build vet test-unit simulation test-vault test-e2e test-release fuzz ## Run all tests but those on Kubernetes, and first install or build what they need

.PHONY: test-unit
test-unit: redis tools-vault ## Run the tests of the service against real Redis and real Vault
	$(GO) test $(TESTFLAGS) ./...

# One package after the other: each has servers of its own, and time limits.
.PHONY: test-e2e
test-e2e: redis prometheus buildah strace tools-vault tools-chart build ## Run the tests of the built program, its image, its chart and its alerts, and break it
	@$(call each,$(filter-out test/cluster,$(TEST_MODULES)),$(GO) test $(TESTFLAGS) -p 1 ./...)

.PHONY: chart-test
chart-test: test-chart test-cluster ## Test the Helm chart: what it renders, then on a real Kubernetes API server

.PHONY: test-chart
test-chart: tools-chart build
	@$(call each,test/chart,$(GO) test $(TESTFLAGS) ./...)

.PHONY: test-cluster
test-cluster: redis etcd tools-vault tools-chart tools-kube build
	@$(call each,test/cluster,$(GO) test $(TESTFLAGS) ./...)

.PHONY: chaos
chaos: redis tools-vault build ## Attack the renewal protocol on real processes; writes docs/reliability.md (ARGS='-seed 7 -for 10m')
	cd test && $(GO) run ./chaos -report ../docs/reliability.md -commit '$(COMMIT)' $(ARGS)

.PHONY: soak
soak: redis tools-vault build ## Keep 10,000 credentials alive under faults and see that nothing grows (FOR=10m, CREDENTIALS=, RATE=, SEED=)
	@mkdir -p .cache
	cd test && $(GO) test ./soak -run '^TestSoak$$' -count=1 -timeout=0 -v -args -for=$(or $(FOR),10m) \
		-credentials=$(or $(CREDENTIALS),10000) -rate=$(or $(RATE),100) -seed=$(or $(SEED),1) -report='$(CURDIR)/.cache/soak.md'

.PHONY: simulation
simulation: ## Play SEEDS=2000 simulated worlds (FROM=1), or FRESH=300 new ones (one again: go test ./internal/simulation -run TestSimulation -seed=N -v)
	@from=$(or $(FROM),$(if $(FRESH),$$(date +%s),1)); echo "seeds from $$from on"; \
	$(GO) test ./internal/simulation -seeds=$(or $(FRESH),$(SEEDS),2000) -from=$$from -timeout=30m || \
	{ echo "play them again: make simulation SEEDS=$(or $(FRESH),$(SEEDS),2000) FROM=$$from"; exit 1; }

.PHONY: model
model: ## Search the protocol's model with any two faults at once (two minutes)
	$(GO) test -count=1 -timeout=15m -v ./internal/renewal -run TestModelHolds/any_fault -args -model.faults=2

# Not under the race detector, which makes compressing ten times slower; and anew each
# time, since `go test` does not know what `go build` reads.
.PHONY: test-release
test-release: tools-chart ## Run the tests of what a release consists of
	cd tools/release && $(GO) test -count=1 ./...

# Not under the race detector, nor vetted once more: each takes all of Vault.
.PHONY: test-vault
test-vault: tools-vault ## Run the tests of the Vault server for tests
	cd tools/vault-dev && $(GO) test -vet=off ./...

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME=2s
	@GO='$(GO)' sh tools/fuzz.sh '$(FUZZTIME)'

.PHONY: redis
redis: ## Install redis-server, and gcc for the race detector, if they are missing (root, Debian)
	@sh tools/debian.sh redis-server=redis-server gcc=gcc,libc6-dev

.PHONY: prometheus buildah strace etcd
prometheus: ## Install Prometheus and Alertmanager for tests
	@sh tools/debian.sh promtool=prometheus prometheus=prometheus prometheus-alertmanager=prometheus-alertmanager
buildah: ## Install buildah for tests
	@sh tools/debian.sh buildah=buildah
strace: ## Install strace and git for tests
	@sh tools/debian.sh strace=strace git=git
etcd: ## Install etcd for tests
	@sh tools/debian.sh etcd=etcd-server

.PHONY: bench
bench: redis tools-vault ## Run the benchmarks (BENCH=regexp)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

.PHONY: cover
cover: redis tools-vault ## Measure what the tests cover, into .cache/cover.html
	@mkdir -p .cache
	$(GO) test -coverpkg=./... -coverprofile=.cache/cover.out ./...
	@$(GO) tool cover -html=.cache/cover.out -o .cache/cover.html
	@$(GO) tool cover -func=.cache/cover.out | tail -n 1

## To change it

.PHONY: check
check: lint test test-cluster ## Everything that CI checks

.PHONY: lint
lint: format-check vet golangci tidy-check generate-check ## Check layout, style, imports, go.mod files and generated files

.PHONY: fmt
fmt: tools-lint ## Lay out the Go files as the linters want them
	@bin/golangci-lint fmt
	@bin/gofumpt -w .

.PHONY: generate
generate: ## Write the generated files anew
	@$(call each,$(CODE_MODULES),$(GO) generate ./...)

.PHONY: chart-docs
chart-docs: tools-chart build ## Write the chart's README.md and the golden manifests anew
	cd test/chart && $(GO) test -update -run 'TestManifests|TestNotes|TestDocumentation' .

.PHONY: tools
tools: tools-lint tools-vault tools-chart tools-kube ## Build the programs that the checks need into bin/ (20 minutes the first time)

.PHONY: clean
clean: ## Delete what was built
	rm -rf bin dist .cache

# The parts of the targets above.

.PHONY: vet
vet:
	@$(call each,$(CODE_MODULES),$(GO) vet ./...)

.PHONY: format-check
format-check: tools-lint
	@files=$$(gofmt -l . && bin/gofumpt -l .) || exit 1; \
	if [ -n "$$files" ]; then \
		echo "$$files" | sort -u >&2; echo "make: not laid out as the linters want it; run: make fmt" >&2; exit 1; \
	fi

# In a bubble of testing/synctest a sleep takes no time; outside of one it only
# hopes that something has happened. golangci-lint cannot tell them apart.
.PHONY: golangci
golangci: tools-lint
	@bin/golangci-lint config verify
	@$(call each,. $(TEST_MODULES) tools/release,"$(CURDIR)/bin/golangci-lint" run --config "$(CURDIR)/.golangci.yml" ./...)
	@files=$$(grep -rl --include='*_test.go' 'time\.Sleep(' . | xargs -r grep -L '"testing/synctest"'); \
	if [ -n "$$files" ]; then \
		echo "$$files" >&2; echo "make: these tests sleep outside of testing/synctest; wait for what shall happen" >&2; exit 1; \
	fi

.PHONY: tidy-check
tidy-check:
	@$(call each,$(ALL_MODULES),$(GO) mod tidy -diff)

.PHONY: generate-check
generate-check:
	@sh tools/generated.sh

.PHONY: tools-lint
tools-lint: bin/golangci-lint bin/gofumpt

bin/golangci-lint bin/gofumpt &: tools/lint/go.mod tools/lint/go.sum
	@echo 'Building golangci-lint and gofumpt. The first time takes three minutes.'
	@mkdir -p bin
	@cd tools/lint && CGO_ENABLED=0 $(GO) build -buildvcs=false -trimpath -ldflags '-s -w' -o ../../bin/ tool
	@touch bin/golangci-lint bin/gofumpt

# A Helm that is built without these takes every cluster for Kubernetes 1.20.
HELM_FLAGS = $(foreach v,pkg/chartutil pkg/lint/rules,-X helm.sh/helm/v3/$(v).k8sVersionMajor=1 -X helm.sh/helm/v3/$(v).k8sVersionMinor=36)

.PHONY: tools-chart
tools-chart: bin/helm bin/helm-docs bin/kubeconform

bin/helm bin/helm-docs bin/kubeconform &: tools/chart/go.mod tools/chart/go.sum
	@echo 'Building Helm, helm-docs and kubeconform. The first time takes three minutes.'
	@mkdir -p bin
	@cd tools/chart && CGO_ENABLED=0 $(GO) build -buildvcs=false -trimpath -ldflags '-s -w $(HELM_FLAGS)' -o ../../bin/ tool
	@touch bin/helm bin/helm-docs bin/kubeconform

# An API server without these calls itself v0.0.0, which the chart refuses.
KUBE_FLAGS = $(foreach v,gitVersion=v1.36.3 gitMajor=1 gitMinor=36,-X k8s.io/component-base/version.$(v))

.PHONY: tools-kube
tools-kube: bin/kube-apiserver bin/kube-controller-manager bin/kubectl

bin/kube-apiserver bin/kube-controller-manager bin/kubectl &: tools/kube/go.mod tools/kube/go.sum
	@echo 'Building a Kubernetes API server for tests. The first time takes seven minutes.'
	@mkdir -p bin
	@cd tools/kube && CGO_ENABLED=0 $(GO) build -buildvcs=false -trimpath -ldflags '-s -w $(KUBE_FLAGS)' -o ../../bin/ tool
	@touch bin/kube-apiserver bin/kube-controller-manager bin/kubectl

.PHONY: tools-vault
tools-vault: bin/vault-dev

# Built as the tests below tools/vault-dev are, so that Vault is compiled once. (A gcc
# that is installed later changes that, and is why `redis` stands first above.)
bin/vault-dev: $(filter-out %_test.go,$(wildcard tools/vault-dev/*.go)) tools/vault-dev/go.mod tools/vault-dev/go.sum
	@echo 'Building the Vault server for tests. The first time takes eight minutes.'
	@mkdir -p bin
	@cd tools/vault-dev && $(GO) build -buildvcs=false -o ../../bin/vault-dev .
	@touch $@
