# What people and CI run. `make check` is for every commit, `make test` is the whole proof, `make up` is the product on this machine.
# The binary carries its commit where git may be asked; a source archive has none.
vcs := $(shell git rev-parse HEAD >/dev/null 2>&1 || echo -buildvcs=false)

.PHONY: build sdk up check deps test race lint generate bench trace fuzz mutants faults chaos image cluster-up cluster-down cluster-status clean

build: ## bin/ltl, one static file
	CGO_ENABLED=0 go build $(vcs) -trimpath -o bin/ltl ./cmd/ltl

sdk: ## the device SDK in C, below client/device/c/build
	$(MAKE) -C client/device/c all

up: build ## a whole network on this machine, until Ctrl-C
	bin/ltl up --dir ltl-data --http 127.0.0.1:8800

check: ## before each commit: form, vet, staticcheck, house rules and unit tests; installs nothing
	scripts/lint.sh quick
	LTL_CHECK=1 go test -short -vet=off -timeout 5m $$(go list ./... | grep -v -e ^ltl/cmd/ltl$$)

deps: ## installs what a fresh Debian machine with Go lacks
	scripts/install-deps.sh

# As build does it, so that the programs that tests build come from what the tests were compiled of. lint has vetted.
check test race: export GOFLAGS := $(GOFLAGS) -trimpath
check test: export CGO_ENABLED := 0
test: deps ## everything: what is missing is installed, then lint and all tests, those of goroutines under the race detector
	scripts/lint.sh
	go test -vet=off -timeout 20m $(addprefix ./,$(drivers) $(pure) $(shortened))
	$(MAKE) race

# Tests that drive other programs or only read files have no race of ours to find, and take as long again; nor have the
# pure packages, which other tests run under the race detector. The drivers that wait most come first.
drivers := cmd/ltl test/faults deploy test/trace test/mutants test/houserules client/device/c deploy/monitoring
pure := internal/rules internal/ledger internal/policy internal/verify
# These do less under the race detector, and run without it too. test/houserules holds the three lists.
shortened := test/chaos node test/conformance test/adversary internal/store client/proof client facade internal/checkpoint internal/identity

race: ## the tests under the race detector, long simulations shortened
	CGO_ENABLED=1 go test -race -short -vet=off -timeout 20m \
		$$(go list ./... | grep -v -x $(patsubst %,-e ltl/%,$(drivers) $(pure)))

lint: ## form, vet, staticcheck, protos, generated code, module file, loose ends
	scripts/lint.sh

generate: ## protobuf code from proto/
	go tool -modfile=tools/go.mod buf generate

bench: build ## speed of a network in a temporary directory, beside the ceiling of the Raft library
	bin/ltl bench

trace: ## files, packages and lines that one write, one read and one start run (SOURCE=DIR for another tree)
	go run ./test/trace -source $(or $(SOURCE),.)

mutants: ## faults planted in the source, one at a time, each of which the tests must find; some need root (MUTANTS=regexp for some of them)
	go run ./test/mutants -run '$(MUTANTS)'

faults: ## disks, descriptors and memory that fail, FAULT_ROUNDS (default 5) times each; needs root
	LTL_FAULT_ROUNDS=$${FAULT_ROUNDS:-5} go test -count=1 -timeout 60m -v -run 'TestDiskFaults|TestBitRot|TestLimits' ./test/faults | grep -E 'ROW|^(---|FAIL|ok|PASS)|SKIP'

fuzz: ## every fuzz target for FUZZTIME (default 20s) each
	scripts/fuzz.sh

chaos: build ## a network under faults: DURATION, SEED, SCENARIO (a name or file), INJECTOR (processes, compose), OUT; docs/design/chaos.md
	go build -o bin/chaos ./test/chaos/cmd
	bin/chaos -scenario $(or $(SCENARIO),mixed) -injector $(or $(INJECTOR),processes) -seed $(or $(SEED),0) -duration $(or $(DURATION),0s) -out "$(OUT)"

image: build ## the image ltl:local, without a registry
	scripts/image.sh

cluster-up: image ## the compose deployment: three nodes, three endorsers, two facades (NODES=4 for four)
	scripts/cluster.sh up

cluster-down: ## stops it; its ledgers stay
	scripts/cluster.sh down

cluster-status: ## its containers, heights and leader
	scripts/cluster.sh status

clean: ## removes what was built; data directories of networks are yours to remove
	rm -rf bin client/device/c/build
