.PHONY: check test race fuzz lossy bench vectors
check: # all that a change must pass
	.ci/run
test:
	go test ./...
race:
	go test -race ./node ./keyserver ./dnstxt ./internal/...
fuzz: # every target for ten minutes: hours
	.ci/fuzz 10m
lossy: # a hundred texts each way through loss and deaths: a minute or two
	go run ./cmd/p3dod lab --once --scenario lossy
bench:
	go test -run '^$$' -bench . ./mor/onion
vectors:
	go run ./docs/spec/genvectors
	go run ./docs/spec/genvectors/pki
	go run ./docs/spec/genvectors/message
	go run ./docs/spec/genvectors/mor
