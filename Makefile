# make check    lint and every test: what .ci/run does
# make test     every test; installs what they need when it is missing
# make conformance  the modules of the public OpenID test plans, counted, see docs/conformance.md
# make bench    longer measurements against the floor, see docs/performance.md; not in CI
# make torture  the hard gates with large N; not in CI
# make firefox  certificates in Firefox ESR, with its own store; not in CI
# make gallery  a picture of every sample of every page, in e2e/shots
# make dev      the demo in this checkout, rebuilt from source
# make assets   scripts and styles compiled anew; the result is committed
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: check lint test tests conformance packages axe clients build bench torture firefox gallery dev assets

# Releases are built without cgo and so is everything here; only the race detector needs it.
export CGO_ENABLED := 0

# One set of compiled packages for vet, the program and its tests: without paths in them they are the same.
export GOFLAGS := -trimpath

# Tests and the compiler are many processes with small heaps: a tenth of their time went into collecting garbage that the
# end of the process collects anyway.
export GOGC := 400

# One PostgreSQL cluster for the whole run: every test makes its own database in it.
CLUSTER := go run ./internal/testdb/cluster --

# The longest packages stand first: one that begins last and runs alone leaves a processor idle.

# Tests run under the race detector, which makes them many times slower, where goroutines meet. The others are pure, or
# long, or drive a program that was built without it.
PLAIN = /conformance$$|/e2e$$|/interop$$|/docs|/realms$$|/bench|/cmd/|/internal/arch$$|/internal/authn$$|/internal/authn/totp$$|/internal/token$$|/internal/web/|/internal/rig|$(LONG)
RACED = ./internal/login ./internal/sqlstore $$(go list ./... | grep -vE '$(PLAIN)')

# Packages whose tests are long and mostly one after another: of these the detector watches the tests where goroutines meet,
# which carry it in their names.
LONG = /internal/oidc$$|/internal/forwardauth$$
MEET = TRACE|Among64

# The detector watches our code and the libraries, but not the C of SQLite that was translated to Go: that alone makes
# every test with a database four times slower, and SQLite's own memory is none that Go code shares. Of the packages beside it
# none is left out: the linker would take their copy of sync.Map for all, and the detector cry about whatever one guards.
RACE = -race -gcflags=modernc.org/sqlite/lib=-race=false
UNRACED = ./e2e ./internal/rig/... ./internal/oidc $$(go list ./... | grep -E '$(PLAIN)' | grep -v /conformance$$)

# Verbose, because only then go shows what a package that passed has to say: how many modules did.
COUNTED = go test -timeout 20m -v ./conformance | grep -vE '^ *(=== |--- PASS|PASS$$)'

check: lint test

lint:
	@out="$$(gofmt -l $$(git ls-files '*.go'))"; if [ -n "$$out" ]; then echo "gofmt -w, please:"; echo "$$out"; exit 1; fi
	go vet ./...
	go vet -tags firefox ./e2e
	go build -C tools -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	bin/staticcheck ./...

build:
	go build -ldflags '-s -w' -o bin/doorward ./cmd/doorward

test: packages axe clients build
	$(CLUSTER) $(MAKE) --no-print-directory tests

# Four packages at a time: many tests wait for a code, a process or a disk.
tests:
	go test -p 4 -count=1 -timeout 20m $(UNRACED) # some of them build and start the program, which the cache does not see
	$(COUNTED)
	CGO_ENABLED=1 go test -p 4 -timeout 20m $(RACE) $(RACED)
	CGO_ENABLED=1 go test -p 4 -timeout 20m $(RACE) -run '$(MEET)' $$(go list ./... | grep -E '$(LONG)')

conformance: packages
	$(CLUSTER) $(COUNTED)

packages:
	bash .ci/packages

axe:
	cd e2e && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error

clients:
	cd interop && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error

bench: build
	go build -o bin/floor ./bench/floor
	go run ./bench

torture: packages
	DOORWARD_TORTURE=1 $(CLUSTER) go test -count=1 -timeout 120m $$(go list ./... | grep -vE '/(e2e|interop)$$')

firefox:
	bash .ci/packages firefox-esr
	go test -tags firefox -count=1 -timeout 20m -run Firefox ./e2e

gallery: packages axe
	rm -rf e2e/shots
	DOORWARD_PICTURES=1 go test -count=1 -timeout 60m ./e2e

dev:
	go run ./cmd/doorward demo

assets:
	go generate ./internal/web
