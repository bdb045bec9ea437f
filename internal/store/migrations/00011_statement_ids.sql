-- A move is found by what it leaves, on whosever account it is kept.

-- +goose Up

CREATE INDEX statements_by_id ON statements (kind, id);
