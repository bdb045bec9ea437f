.PHONY: check test race fuzz bench vectors
check: # all that a change must pass
	.ci/run
test:
	go test ./...
race:
	go test -race ./node ./keyserver ./dnstxt ./internal/...
fuzz: # one package at a time: make fuzz P=./mor/onion F=FuzzPeel
	go test -run '^$$' -fuzz '$(F)' -fuzztime 60s $(P)
bench:
	go test -run '^$$' -bench . ./mor/onion
vectors:
	go run ./docs/spec/genvectors
	go run ./docs/spec/genvectors/pki
	go run ./docs/spec/genvectors/message
	go run ./docs/spec/genvectors/mor
