-- How many bytes the statements of each kind have together, since there is a bound for all.

-- +goose Up

INSERT INTO counters (name, value)
SELECT 'statement bytes ' || kind, SUM(LENGTH(raw)) FROM statements GROUP BY kind;
