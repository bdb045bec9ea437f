-- What is newest under a label in our copies of logs.

-- +goose Up

-- The number of the newest card, or end of a card, under a label of a log, among those of its leaves that were read for this.
CREATE TABLE newest (
    origin TEXT   NOT NULL,
    label  BLOB   NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (origin, label)
);

-- Of a copy: how many of its leaves were read for it.
ALTER TABLE mirrors ADD COLUMN newest_read BIGINT NOT NULL DEFAULT 0;
