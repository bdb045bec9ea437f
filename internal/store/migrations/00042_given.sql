-- How many copies each domain has given, so that another one costs no walk over them.

-- +goose Up

CREATE TABLE given (
    domain TEXT   NOT NULL PRIMARY KEY,
    copies BIGINT NOT NULL,
    bytes  BIGINT NOT NULL
);
INSERT INTO given (domain, copies, bytes) SELECT domain, COUNT(*), SUM(LENGTH(sealed)) FROM copies GROUP BY domain;
