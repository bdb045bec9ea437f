-- Which of our contexts a peer hears.

-- +goose Up

-- Its name in the folder of keys; empty: the first one.
ALTER TABLE peers ADD COLUMN context TEXT NOT NULL DEFAULT '';
