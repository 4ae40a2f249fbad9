# The command offload-e2e does the work; these are the short ways to it.
# With any failure make itself exits with 2; .bin/offload-e2e tells them apart.

CONFIG   ?=# folder with the configuration to test (default vmconfigs)
PROVIDER ?=# what runs the machines: auto, qemu, docker, hosts (your own, by SSH)
HOSTS    ?=# how your own machines are reached (default e2e/hosts.yaml in CONFIG)
GUEST    ?=# what the machines are: auto, embedded, nixos
KEYS     ?=# exchange the keys as a user would, or trust only those in the config
LABELS   ?=# run only specs with these labels, e.g. 'phase2 || fallback'
REPORT   ?=# folder for the report (default reports/<run>)
SCENARIOS ?=# scenarios of the gate: a folder, or files by glob
N        ?=# how often soak runs (default 20)
SHARD    ?=# one part of so many, e.g. 2/8; `report merge` joins them
KEEP     ?=# leave the machines up: never, failure, always

export GOTOOLCHAIN ?= auto
export CGO_ENABLED = 0
override GOFLAGS += -buildvcs=false
export GOFLAGS

# The command knows the commit it was built from, where git has one.
STAMP  = $$(git rev-parse -q --verify HEAD >/dev/null 2>&1 && echo true || echo false)
# The path of a Go that is new enough; it is installed where there is none.
GO     = $$(harness/setup/go.sh)
E2E    = .bin/offload-e2e
# What takes longest begins first: packages run side by side.
TESTS ?= ./harness/provider/qemu ./suites/parity ./harness/nixguest ./harness/provider/docker ./harness/... ./vmconfigs/... ./suites/...
SHELLS = .ci/run fixtures/ci/pre-push $$(git ls-files '*.sh')
ACTIONS = github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
LINTER = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
flag   = $(if $($(1)),--$(2) '$($(1))')

.DEFAULT_GOAL := help
.PHONY: help setup build e2e gate soak test lint clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' Makefile
	@awk -F '[ ?]*=# ' '/^[A-Z]+ *\?=# / { printf "  %11s %s\n", $$1, $$2 }' Makefile

setup: build ## install what is missing and build the guest image
	@$(E2E) setup --image

build: ## build the command and the guests' programs
	@go=$(GO) && $$go build -trimpath -ldflags '-s -w' -o .bin/guest/ ./harness/cmd/nix-serve ./harness/cmd/switch-to-configuration ./harness/cmd/lan-cable ./harness/cmd/management-sshd && $$go build -buildvcs=$(STAMP) -o $(E2E) ./harness/cmd/offload-e2e

e2e: build ## boot desktop and laptop, test CONFIG on them, report
	@$(E2E) setup $(call flag,PROVIDER,provider)
	@$(E2E) run $(call flag,CONFIG,config) $(call flag,PROVIDER,provider) $(call flag,HOSTS,hosts) $(call flag,GUEST,guest) $(call flag,KEYS,keys) $(call flag,LABELS,labels) $(call flag,REPORT,report) $(call flag,SHARD,shard) $(call flag,KEEP,keep)

gate: build ## break CONFIG in every way of fixtures/scenarios: is each named?
	@$(E2E) setup
	@$(E2E) gate $(call flag,CONFIG,config) $(call flag,PROVIDER,provider) $(call flag,GUEST,guest) $(call flag,KEYS,keys) $(call flag,SCENARIOS,scenarios) $(call flag,REPORT,report) $(call flag,SHARD,shard)

soak: build ## run N times: how often does something break, and why?
	@$(E2E) setup
	@$(E2E) soak $(call flag,N,runs) $(call flag,CONFIG,config) $(call flag,PROVIDER,provider) $(call flag,LABELS,labels) $(call flag,KEYS,keys) $(call flag,REPORT,report)

test: build ## test the harness itself
	@$(E2E) setup --test --image
	@go=$(GO) && nix=$$($(E2E) nix-bin) && PATH="$$PATH:$$nix" NIX_BIN=$$nix OFFLOAD_E2E_BUNDLE=$${nix%/nix/bin} $$go test -json -timeout 15m $(TESTS) | $(E2E) count-tests

lint: build ## check formatting, Go and shell code
	@$(E2E) setup --test
	@go=$(GO) && $$go run $(LINTER) run
	@shellcheck $(SHELLS)
	@go=$(GO) && $$go run $(ACTIONS) fixtures/ci/github.yml

clean: ## remove what was built here, and reports
	@rm -rf .bin && find reports -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +
