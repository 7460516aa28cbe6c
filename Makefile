# Every target is one command that also works by hand. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help controlplane tools build image test test-versions prove model-deep mutants fuzz bench bench-large bench-core gitops chart lint generate demo e2e clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

controlplane: ## Build kube-apiserver, etcd, kubectl, kube-controller-manager, if missing (5 to 9 min once, needs Go)
	@hack/controlplane/build.sh >/dev/null

tools: ## Build helm, kubeconform and kube-score, if missing (2 to 4 min once, needs Go)
	@hack/tools/build.sh >/dev/null

build: ## Build the operator, optimised
	cargo build --release --locked

image: ## Build the image FROM scratch into target/image, with its bill of materials (ARCH=amd64, arm64 or all)
	@hack/image/build.sh $(if $(ARCH),--arch $(ARCH))

# Tests mostly wait, so on a small machine more of them run at once than it has cores.
TEST_THREADS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); echo $$(( cores > 4 ? cores : 4 )))

test: controlplane tools gitops ## Run all tests, against a real API server too (TEST_THREADS=4: so many at once)
	RUST_TEST_THREADS=$(TEST_THREADS) cargo test --locked --all-targets

# The versions of Kubernetes that are supported; each must be one that the pinned API server can emulate. Tests mostly wait.
VERSIONS ?= 1.34 1.35 1.36 1.37

test-versions: controlplane ## The API, the policies and the operator's main job on every supported version of Kubernetes (VERSIONS="1.34")
	@for version in $(VERSIONS); do \
		echo "Kubernetes $$version"; \
		EMULATED_VERSION=$$version cargo test --quiet --locked --test api --test policies -- --test-threads=8; \
	done

# Of each parser that faces partners and users.
SECONDS ?= 20

fuzz: ## Fuzz the parsers that face partners and users, from the kept corpus (SECONDS=20 each; needs a C++ compiler)
	@hack/fuzz.sh $(SECONDS)

# count=1: the cache of go test does not know the scripts, which are outside of the module.
# The rest, with the objects of the real operator, is one of all tests: cargo test --test gitops.
gitops: ## Test Argo CD's health scripts, and build what judges our objects as GitOps tools do (needs Go)
	@hack/gitops/build.sh >/dev/null
	cd hack/gitops && go vet ./... && go test -count=1 ./...

# What is proved, beside `make test`; see docs/reliability.md. The model counts millions of states, so it is optimised; the rest
# mostly waits, and is built as the tests are.
OPTIMISED := cargo test --locked --config profile.dev.opt-level=2
PROOF := --test apiserver --test mutants --test faults --test partner_faults --test generated

# The table is shown also where a part has failed, and then it is the part that counts.
prove: controlplane ## Prove the promises: model, seeded mutants, faults, generated objects; ends with a table (about 30 min)
	@rm -rf target/proof
	@failed=0; $(OPTIMISED) --test model -- --nocapture || failed=$$?; \
	$(OPTIMISED) --no-fail-fast $(PROOF) -- --nocapture || failed=$$?; \
	cargo run --quiet --locked --example proof && exit $$failed

model-deep: ## The model within larger bounds: 107 million states (about an hour, 6 GB of memory)
	MODEL_DEPTH=deep MODEL_LIMIT=100000000 $(OPTIMISED) --test model -- --nocapture

mutants: ## Every change that cargo-mutants can think of in src/core, for hours (SINCE=main: only in what has changed)
	@hack/mutants.sh

# The operator that is measured is the released one; what measures has a profile, and so a folder, of its own.
bench: controlplane build ## How fast, with what memory: a table and target/bench/*.json (about 15 min; SCENARIOS=start,cold-2000 BENCH_SIZE=10000)
	cargo bench --locked --profile fast --bench scenarios

bench-large: controlplane build ## The same fleet with 50,000 integrations: it converges, in proportion (about 20 min)
	BENCH_SIZE=50000 SCENARIOS=$${SCENARIOS:-start,cold-2000,cold-10000,restart,memory} cargo bench --locked --profile fast --bench scenarios

bench-core: ## How long a decision and judging an answer take (criterion)
	cargo bench --locked --profile fast --features internals --bench core

chart: controlplane tools ## Only the tests of the chart and of deploy/: lint, schemas, alerts, install, upgrade, uninstall
	cargo test --locked --test chart

# What is proved and what measures has a call of its own: --all-targets leaves out what `cargo test` does, also where it is named
# beside it. The one without features also judges what is released, which is without `internals`.
lint: ## Formatting, clippy, documentation, generated files up to date, licences
	cargo fmt --check
	cargo clippy --locked --features internals --all-targets -- -D warnings
	cargo clippy --locked --features internals --test model $(PROOF) --bench scenarios --bench core -- -D warnings
	cargo clippy --locked --no-default-features --lib --bins -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --lib --document-private-items
	cargo test --quiet --locked --test api generated::
	@hack/deny.sh

generate: ## Write crds/, the reference page and the chart's copies again
	cargo run --quiet --locked --example generate

demo: controlplane ## Show the main job on a real API server (KEEP=1: stay up to play with it)
	cargo build --locked --bins --example demo
	@cargo run --quiet --locked --example demo

e2e: ## Install it on the cluster of KUBECONFIG, else on a node of our own (root), and try everything (KEEP=1: leave it)
	@hack/e2e/run.sh

clean: ## Remove what was built, the control plane too
	cargo clean
	rm -rf .cache
