# Vitrine: `make run` starts the appliance with a demo shop, `make test` runs
# every test. Both need only Go (and gcc for the race detector).

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  := -s -w -X main.version=$(VERSION)
BINARY   := dist/vitrine
TOOL     := go tool -modfile=tools.mod
RACE     := ./bridge/... ./appliance/... ./als/...
NESTED   := sdk plugins
# The compiler's profile is for what ships, so that checks and tests do not compile
# everything once more.
export GOFLAGS := -buildvcs=false -pgo=off
# The product has no C. One setting for checks, tests and the binary that the
# tests run, or each compiles everything anew; the race detector alone needs C.
export CGO_ENABLED := 0

.PHONY: help api-lint run build profile bench-als bench-kafka bench-peers plugins shelf rpm repo image test-rpm test unit nested noasm race e2e kill9 kill-table real-servers test-real test-real-short faults chaos quality check format lint tidy generate generate-check clean-tree

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9%-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## the static binary, dist/vitrine
	@mkdir -p dist
	CGO_ENABLED=0 go build -pgo=auto -trimpath -ldflags '$(LDFLAGS)' -o $(BINARY) ./cmd/vitrine

# The hot paths as benchmarks walk them, so many seconds each.
PROFILED := ./bridge/kafka/flow:Flow ./appliance:Ingest ./bridge/archive:Commit ./bridge/archive:Scan

profile: ## cmd/vitrine/default.pgo, by which the compiler knows the hot paths, measured anew (minutes, on a machine that has nothing else to do)
	@rm -rf dist/profile && mkdir -p dist/profile
	@for of in $(PROFILED); do name=$${of##*:}; \
		go test -trimpath -run '^$$' -bench "^Benchmark$$name\$$" -benchtime 10s -cpuprofile $(CURDIR)/dist/profile/$$name.prof -o dist/profile/test $${of%:*} || exit 1; done
	go tool pprof -proto -output cmd/vitrine/default.pgo dist/profile/*.prof

run: build shelf ## start the appliance with a demo shop (ARGS="--set http.listen=127.0.0.1:9000")
	@exec $(BINARY) serve --demo --data var $(ARGS)

plugins: ## the ready plugins, dist/plugins/NAME.wasm and NAME.toml
	@mkdir -p dist/plugins
	@cd plugins && for toml in */*.toml; do name=$${toml%%/*}; echo "build $$name.wasm"; \
		GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -ldflags='-s -w' \
			-o ../dist/plugins/$$name.wasm ./$$name && cp $$toml ../dist/plugins/ || exit 1; done

# The demo shop has the ready plugins beside it, switched off.
shelf: plugins
	@mkdir -p var/plugins && cd dist/plugins && for wasm in *.wasm; do name=$${wasm%.wasm}; \
		test -e ../../var/plugins/$$name.toml || { cp $$wasm ../../var/plugins/ && \
		sed 's/^enabled = true/enabled = false/' $$name.toml > ../../var/plugins/$$name.toml; }; done

bench-%: build ## bench-serve, bench-retrieve, bench-train, bench-plugins: the built-in benchmark
	$(BINARY) bench $*

bench-als: build ## training at 1M, 10M and 100M interactions
	$(BINARY) bench train --full

# Other programs, into the user's cache folder, each as far as it can be had.
PEERS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/vitrine/peers

bench-peers: build ## training and search beside implicit, Spark MLlib, Gorse, faiss and hnswlib, installed first
	@mkdir -p $(PEERS)
	-test -x $(PEERS)/venv/bin/python || python3 -m venv $(PEERS)/venv
	-$(PEERS)/venv/bin/pip install -q implicit==0.7.3 numpy==2.4.6 scipy==1.17.1
	-$(PEERS)/venv/bin/pip install -q faiss-cpu==1.15.1
	-$(PEERS)/venv/bin/pip install -q hnswlib==0.8.0
	-$(PEERS)/venv/bin/pip install -q pyspark==4.3.0
	-test -d $(PEERS)/openblas || { cd $(PEERS) && apt-get download libopenblas0-pthread libgfortran5 libquadmath0 && \
		for deb in *.deb; do dpkg -x $$deb openblas; done; }
	-cd appliance/bench/peers/gorse && go build -o $(PEERS)/gorse .
	$(BINARY) bench peers

bench-kafka: real-servers ## from Kafka to disk, beside the client alone, with a broker that is started for it
	VITRINE_REAL=1 go test -v -count=1 -timeout 30m -run '^TestRealKafkaSpeed$$' ./internal/e2e

# VERSION counts when it is given; else the package's is the tag's.
RPM_VERSION := $(if $(filter command line,$(origin VERSION)),$(VERSION))

rpm: ## dist/vitrine-VERSION-1.el7.ARCH.rpm for x86_64 and aarch64, signed (RPM_SIGN_KEY=FILE or a throw-away key)
	@VERSION='$(RPM_VERSION)' rpm/build.sh

repo: ## dist/repo, a signed yum repository of the package and the two before it (RPM_REPO_URL=where it will be served)
	@VERSION='$(RPM_VERSION)' rpm/repo.sh

image: build plugins ## the container's root, dist/image, and the image itself where podman, buildah or docker is at hand
	@ops/container/build.sh

test-rpm: ## build, signatures, header, scriptlets, unit; install, serve, edit, upgrade, undo, erase in a fresh root (minutes)
	@rpm/test.sh

test: unit nested noasm race ## every test

# Many packages wait for fsyncs, timers and children: twice as many at once as
# there are processors. The longest comes first. The limit ends what is stuck: on
# a machine with other work the end-to-end tests alone take more than go test's
# own ten minutes.
PARALLEL := $(shell expr 2 '*' $$(nproc 2>/dev/null || echo 2))
TEST_LIMIT := -timeout 15m

unit:
	go test $(TEST_LIMIT) -p $(PARALLEL) ./internal/e2e ./...

nested:
	@for module in $(NESTED); do (cd $$module && echo "go test ./... # in $$module" && go test $(TEST_LIMIT) ./...) || exit 1; done

# Only the package of the assembly differs by processor; all others of the
# library are compiled against its plain Go by the line before.
noasm: ## the model library without its assembly
	go test $(TEST_LIMIT) -vet=off -tags noasm ./als/...
	GOARCH=arm64 go vet ./als/internal/f32

race:
	@cc=$$(command -v gcc || command -v cc); \
	if printf '#include <stdlib.h>\n#include <pthread.h>\nint main(void) { return 0; }\n' | $${cc:-false} -x c -o /dev/null - 2>/dev/null; then \
		echo "go test -race -short $(RACE)"; CC=$$cc CGO_ENABLED=1 go test $(TEST_LIMIT) -vet=off -p $(PARALLEL) -race -short $(RACE); \
	else echo "=== LEFT OUT: the race detector's runs. They need a C compiler and its headers. ==="; fi

e2e: ## the end-to-end tests alone, on the real binary
	go test $(TEST_LIMIT) -v -count=1 ./internal/e2e

kill9: ## 20 kill -9 during ingest: nothing lost, nothing doubled
	VITRINE_KILLS=20 go test -v -count=1 -run TestKill ./internal/e2e

KILLS := 100
CUTS := 20

kill-table: real-servers ## kill -9 under ingest over HTTP and from a real Kafka, KILLS (100) each, and CUTS (20) power cuts; prints a line each (half an hour)
	VITRINE_REAL=1 VITRINE_KILLS=$(KILLS) VITRINE_POWER_CUTS=$(CUTS) go test -v -count=1 -timeout 2h -run '^Test(Kill|PowerCut|RealKafkaKill)$$' ./internal/e2e

# A realm of Kerberos for its tests: MIT's server, its tools, and a clock that is off.
KERBEROS := /usr/sbin/krb5kdc:krb5-kdc /usr/sbin/kadmin.local:krb5-admin-server kinit:krb5-user faketime:faketime

# Debian's packages where the machine lacks them, and the servers into the user's
# cache folder.
real-servers: ## fetch what the tests with real servers need: java, mvn, redis-server, a KDC, Kafka, HDFS, nats-server
	@missing=; for want in java:default-jre-headless mvn:maven redis-server:redis-server openssl:openssl $(KERBEROS); do \
		command -v $${want%%:*} >/dev/null || missing="$$missing $${want#*:}"; done; \
	test -z "$$missing" || { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing; }
	VITRINE_REAL=1 go test -count=1 -timeout 10m -run '^TestRealFetch$$' ./internal/realservers

test-real: real-servers ## against real servers: Apache Kafka 3.4 and the newest, a schema registry, HDFS, NATS, Redis (root where java or mvn are missing; 20 minutes)
	VITRINE_REAL=1 go test -v -count=1 -timeout 60m -p 1 -run 'Real|Kafka' ./internal/realservers ./bridge/mirror ./internal/e2e

test-real-short: ## of test-real what the gate runs: Kafka, kills, HDFS, NATS, Redis (LIMIT=900 seconds; left out where the servers cannot be had)
	@.ci/real $(or $(LIMIT),900)

faults: real-servers ## each fault of HDFS for 30 s under a daemon: what is told, recovery, nothing lost (15 minutes)
	VITRINE_REAL=1 VITRINE_FAULT=30s go test -v -count=1 -timeout 40m -run 'TestRealHDFS$$' ./internal/e2e

chaos: real-servers ## the table of faults: Kafka, HDFS and NATS, each refused, silent, slow and reset, SECONDS each (30)
	VITRINE_REAL=1 VITRINE_FAULT=$(or $(SECONDS),30)s go test -v -count=1 -timeout 60m -run 'TestRealChaos$$' ./internal/e2e

quality: ## ranking and rating quality on published data sets, against bars (minutes; data in ../shared/data or VITRINE_QUALITY_DATA)
	VITRINE_QUALITY=full go test -v -count=1 -timeout 3h -run 'Test(Quality|Rule)$$' ./internal/quality

check: format lint generate-check tidy clean-tree ## format, vet, staticcheck, import rules, size budget, generated files, tidy modules, clean tree

format:
	@unformatted=$$($(TOOL) gofumpt -l .); test -z "$$unformatted" || { echo "run gofumpt on:"; echo "$$unformatted"; exit 1; }

api-lint: ## the OpenAPI document through a public linter (needs node and a registry)
	npx -y @redocly/cli@2.77.0 lint appliance/httpapi/openapi.yaml

lint:
	go vet ./...
	$(TOOL) staticcheck ./...
	@for module in $(NESTED); do (cd $$module && go vet ./... && \
		go tool -modfile=$(CURDIR)/tools.mod staticcheck ./...) || exit 1; done
	go test -count=1 ./internal/archtest

generate: ## rebuild generated files
	go generate ./...

generate-check:
	go generate ./...
	@git diff --exit-code --stat -- '*.gen.go' 'als/internal/f32/kernels_amd64.*' appliance/httpapi/openapi.json || { echo "generated files are not current: run make generate and commit"; exit 1; }

# tools.mod is tidied alone, in a folder without packages, so that it holds the
# tools and nothing of the product.
tidy:
	go mod tidy -diff
	@for module in $(NESTED); do (cd $$module && go mod tidy -diff) || exit 1; done
	@dir=$$(mktemp -d) && cp tools.mod $$dir/go.mod && cp tools.sum $$dir/go.sum && \
	(cd $$dir && go mod tidy -diff); code=$$?; rm -rf $$dir; exit $$code

clean-tree:
	@test -z "$$(git status --porcelain)" || { echo "the tree is not clean:"; git status --short; exit 1; }
