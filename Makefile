# `make help` lists what there is. All of it shares one cache outside the clone
# (COFFRE_CACHE, ~/.cache/coffre): RocksDB, the tools, and cargo's target
# directory. Plain `cargo build` works too; it builds RocksDB by itself, slowly.

SHELL := /bin/bash
export PATH := $(PATH):$(HOME)/.cargo/bin

with_env := scripts/with-env

# --examples asks for what development builds need, features included: without
# it cargo would build most libraries a second time for the tests.
build_programs := $(with_env) cargo build --workspace --bins --examples

.DEFAULT_GOAL := help
.PHONY: help demo test build install kills lint fuzz bench instructions reader rocksdb tools prerequisites

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 17

demo: prerequisites ## a whole round trip on a real tree: make demo [DIR=/some/path]
	$(build_programs)
	@# Copies, since another clone may build into the same cache meanwhile.
	@$(with_env) bash -c 'set -e; bin=$$(mktemp -d); trap "rm -rf \"$$bin\"" EXIT; \
		cp "$$CARGO_TARGET_DIR"/debug/coffre{,-server} "$$bin"; \
		PATH=$$bin:$$PATH scripts/demo "$$@"' demo $${DIR:+"$$DIR"}

test: prerequisites ## every test
	$(with_env) cargo test --workspace

kills: prerequisites ## kill device and hoster over and over: make kills [TIMES=200] [SEED=1]
	$(build_programs)
	@$(with_env) bash -c 'env COFFRE_SERVER="$$CARGO_TARGET_DIR/debug/coffre-server" \
		COFFRE_KILLS=$${TIMES:-200} $${SEED:+COFFRE_SEED=$$SEED} \
		cargo test -p coffre --test main -- --nocapture kills::what_was'

build: prerequisites ## coffre and coffre-server, as the demo and the tests use them
	$(build_programs)

PREFIX ?= $(HOME)/.local

install: prerequisites ## both programs, manual pages, completions: make install [PREFIX=~/.local]
	$(with_env) cargo build --release -p coffre -p vault-server --bins
	@$(with_env) scripts/install "$(PREFIX)"

lint: prerequisites ## format, clippy, licences and banned crates
	cargo fmt --all --check
	$(with_env) cargo clippy --workspace --all-targets -- -D warnings
	PATH="$$(scripts/install-tool cargo-deny):$$PATH" cargo deny check bans licenses sources

fuzz: prerequisites ## every fuzz target an equal share: make fuzz [FOR=120] (seconds)
	$(with_env) scripts/fuzz $${FOR:-120}

bench: prerequisites ## the benchmarks of the layers
	$(with_env) cargo bench --workspace

instructions: prerequisites ## count the instructions of the layers (needs valgrind)
	@command -v valgrind >/dev/null || { echo "please install valgrind"; exit 1; }
	cd benches/instructions && GUNGRAUN_RUNNER="$$(../../scripts/install-tool gungraun-runner)/gungraun-runner" \
		CARGO_TARGET_DIR="$$(../../scripts/with-env printenv CARGO_TARGET_DIR)/instructions" cargo bench

reader: prerequisites ## the reader in Python over all vectors, with what it needs from PyPI
	@cache=$${COFFRE_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/coffre}/reader; \
		python3 -m venv "$$cache" && \
		"$$cache/bin/pip" install -q -r checks/reader/requirements.txt && \
		PYTHON="$$cache/bin/python" checks/reader/run

rocksdb: prerequisites ## build RocksDB into the cache, print where it is
	@scripts/build-rocksdb

tools: prerequisites ## build cargo-deny and cargo-fuzz into the cache
	@scripts/install-tool cargo-deny
	@scripts/install-tool cargo-fuzz

prerequisites:
	@scripts/prerequisites
