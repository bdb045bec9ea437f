.PHONY: check test race fuzz lossy deaths rotations watcher attacks bench dnsperf interop vectors
check: # all that a change must pass
	.ci/run
test:
	go test ./...
attacks: # what each attack costs a node, in a table
	go test ./node -run 'TestSilence$$|TestAttacks$$' -v | grep '| '
deaths: # every process killed at every durable write: some minutes
	go run ./cmd/p3dod lab --once --scenario deaths
race:
	.ci/race
fuzz: # every target for ten minutes: hours
	.ci/fuzz 10m
lossy: # a hundred texts each way through loss and deaths: a minute or two
	go run ./cmd/p3dod lab --once --scenario lossy
rotations: # a hundred texts each way while every kind of key is changed: a minute
	go run ./cmd/p3dod lab --once --scenario rotations
watcher: # how well a trained matcher finds who reads what was sent, without cover and with: three hours
	go run ./cmd/p3dod lab --once --scenario watcher
	go run ./cmd/p3dod lab --once --scenario watcher --cover high
bench:
	go test -run '^$$' -bench . ./mor/onion
interop: # the key log, beside programs of others that speak the same formats
	cd tools/interop && go vet . && go test .

dnsperf: # signed DNS answers a second, beside Knot and CoreDNS: some minutes
	tools/dnsperf
vectors:
	go run ./docs/spec/genvectors
	go run ./docs/spec/genvectors/pki
	go run ./docs/spec/genvectors/message
	go run ./docs/spec/genvectors/mor
	P3DO_REWRITE=1 go test ./dnstxt ./internal/link ./node ./keyserver ./internal/session ./internal/vault ./internal/agent -run 'Vectors$$|VectorsAreUpToDate$$'
