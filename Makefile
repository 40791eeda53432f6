# Every target starts the services that it needs and stops them again: scripts/with-services.sh.
# RabbitMQ or Postgres elsewhere: MAGELINE_TEST_AMQP_URL=… MAGELINE_TEST_DATABASE_URL=… make test

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
IMAGE   ?= mageline:$(VERSION)
FUZZTIME ?= 10s
BENCHTIME ?= 1s
T ?= 10m
DEBIAN ?= trixie

SERVICES := scripts/with-services.sh
LDFLAGS  := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

ifeq ($(shell command -v go),)
  $(error Go is not installed: get the version that go.mod names from https://go.dev/dl/ and put its bin folder on PATH)
endif

.DEFAULT_GOAL := help
.PHONY: help build demo test versions chaos faults soak bench module fuzz lint portable check-generated image clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## bin/mageline and bin/mageline-demo
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/mageline ./cmd/mageline-demo

demo: build ## mageline between a simulated Magento and ERP, until Ctrl-C; with ONCE=1 it ends by itself and checks the result; MAGENTO=2.4.5, 2.4.7 or 2.4.8; ERP=sap, netsuite, businesscentral or finops; with MODULE=1 the Magento module publishes the events, under PHP
	$(if $(MODULE),scripts/services/install.sh php)
	$(SERVICES) sh -c 'exec bin/mageline-demo run $(if $(ONCE),--once) $(if $(MAGENTO),--magento-version $(MAGENTO)) $(if $(ERP),--erp $(ERP)) $(if $(MODULE),--module magento) --mageline bin/mageline --amqp "$$MAGELINE_TEST_AMQP_URL" --database "$$MAGELINE_TEST_DATABASE_URL"'

test: ## every test, with the race detector, against a real RabbitMQ and Postgres
	scripts/c-compiler.sh
	-scripts/services/install.sh rabbitmq # some tests restart servers of their own; where they can't, they are left out
	-scripts/services/install.sh postgres
	-scripts/services/install.sh pgbouncer
	-scripts/services/install.sh openssh # of an unprivileged server that tests of the SFTP pickup start
	-scripts/services/install.sh php # for the tests with the Magento module
	-scripts/services/install.sh mariadb
	-scripts/opensearch.sh # a node that tests of search/elastic start; where it can't be, it is left out
	$(SERVICES) env GORACE=atexit_sleep_ms=0 go test -race -timeout 20m ./... # without it each process with the race detector sleeps for a second when it ends
	cd deploy && go test ./...
	cd test/bench/watermill && go vet ./...

versions: ## faults, and the tests of topology, limits, drains, retries, dead letters and the ledger, on the RabbitMQ and Postgres of the Debian release DEBIAN (trixie: 4.0 and 17), as root
	scripts/c-compiler.sh
	scripts/services/install.sh rabbitmq # fault 22 goes from the installed version to the other
	scripts/services/install.sh pgbouncer
	MAGELINE_TEST_VERSIONS=$(DEBIAN) $(SERVICES) sh -ec '\
		go test -race -count=1 -timeout 20m ./rabbitmq ./consumer ./internal/deadletter ./idempotency ./migrations ./test/kit/private; \
		go test -race -count=1 -timeout 20m -run "OtherArguments|ClassicQueues|DrainsOnSIGTERM|CutsHandlers|CutWhileOrdersFlow|RevokedRights|Replay_LetterOfTheBroker|Replay_EditedLetter|Replay_RefusedOrders|KilledDuring|TablesElsewhere" ./test/e2e; \
		go test -race -count=1 -timeout 20m ./test/faults'

chaos: ## the tests of failures at their full size: 10,000 orders with replicas killed and servers that crash, the ERP away for a minute, 200 large bodies, 100,000 dead letters, a folder of 1,000 tracking files, 10,000 orders to an ERP that fails, 200,000 prices and stock levels, 10,000 orders saved by the Magento module, 5,000 orders of which 7 are missing
	scripts/services/install.sh rabbitmq # the test restarts servers of its own
	scripts/services/install.sh postgres
	$(SERVICES) env MAGELINE_E2E_ORDERS=2000 go test -count=1 -v -timeout 30m -parallel 1 -run 'TestChaos/replicas|TestChaos/everything' ./test/e2e
	$(SERVICES) env MAGELINE_E2E_PROBES=60 MAGELINE_E2E_FILES=1000 go test -count=1 -v -timeout 30m -run 'ERPAway|FolderOfTwoReplicas' ./test/e2e
	$(SERVICES) env MAGELINE_E2E_SAP=10000 go test -count=1 -v -timeout 60m -run 'OrdersOnceUnderFaults' ./test/e2e
	scripts/services/install.sh php
	scripts/services/install.sh mariadb
	$(SERVICES) env MAGELINE_E2E_MODULE=10000 go test -count=1 -v -timeout 30m -run 'TestModule_OutboxLosesNoOrder' ./test/e2e
	$(SERVICES) env MAGELINE_E2E_RECONCILE=5000 go test -count=1 -v -timeout 30m -run 'TestReconcile_FindsJust' ./test/e2e
	$(SERVICES) env MAGELINE_E2E_UPDATES=200000 go test -count=1 -v -timeout 60m -parallel 1 -run TestVolume ./test/e2e
	MAGELINE_E2E_ORDERS=10000 go test -count=1 -v -timeout 60m -run 'TestChaos/servers' ./test/e2e
	MAGELINE_CHAOS=1 go test -count=1 -v -timeout 30m -run ManyOrdersUnderFaults ./erp/businesscentral ./erp/finops ./erp/netsuite
	$(SERVICES) env MAGELINE_LARGE_BODIES=200 go test -count=1 -v -timeout 30m -run LargeBodies ./consumer
	$(SERVICES) env MAGELINE_TEST_LETTERS=100000 go test -count=1 -v -timeout 20m -run TestReplay_LosesNothingOfManyWhenKilled ./internal/deadletter

faults: ## every fault of docs/faults.md, and random schedules of several at once
	scripts/services/install.sh rabbitmq
	scripts/services/install.sh postgres
	scripts/services/install.sh pgbouncer
	$(SERVICES) env MAGELINE_FAULTS=all go test -count=1 -v -timeout 30m -parallel 6 ./test/faults

soak: ## T (10m) of steady load with a fault every few seconds: nothing may grow
	scripts/services/install.sh rabbitmq
	scripts/services/install.sh postgres
	MAGELINE_E2E_SOAK=$(T) go test -count=1 -v -timeout 24h -run Soak ./test/e2e

bench: ## the table of docs/performance.md, each rate next to its limit measured in the same run, and every Go benchmark
	scripts/php.sh
	$(SERVICES) env MAGELINE_TEST_BENCH=full go test -count=1 -v -timeout 60m ./test/bench
	$(SERVICES) go test -run '^$$' -bench . -benchtime $(BENCHTIME) -timeout 30m \
		$$(grep -rl --include='*_test.go' '^func Benchmark' . | xargs -n 1 dirname | sort -u)

module: ## the Magento module: syntax, style, and its tests under PHP against a real RabbitMQ and MariaDB
	$(SERVICES) scripts/module.sh

fuzz: ## each fuzz target for FUZZTIME (10s)
	$(SERVICES) scripts/fuzz.sh $(FUZZTIME)

lint: ## format, linters, import directions, known vulnerabilities
	scripts/lint.sh

portable: ## the whole tree, tests too, compiles and vets for macOS and Windows (minutes, the first time)
	GOOS=darwin go vet ./...
	GOOS=windows go vet ./...

check-generated: ## go.mod, go.sum and generated files are what their sources say
	scripts/check-generated.sh

image: ## the container image $(IMAGE)
	docker build --target mageline --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) --tag $(IMAGE) .

clean: ## what the targets above made
	rm -rf bin .run
