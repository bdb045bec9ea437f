-- Copies of the cards of peers' users, each sealed by what it is asked for by: nothing in here says whose
-- they are. ids are 32 bytes made of a name, and of the fingerprint of an identity key; number is that of the
-- leaf in the domain's key log.

-- +goose Up

CREATE TABLE copies (
    domain      TEXT   NOT NULL,
    number      BIGINT NOT NULL,
    name_id     BLOB   NOT NULL,
    key_id      BLOB   NOT NULL,
    sealed      BLOB   NOT NULL,
    PRIMARY KEY (domain, number)
);
CREATE INDEX copies_name ON copies (name_id);
CREATE INDEX copies_key ON copies (key_id);

INSERT INTO counters (name, value) VALUES ('copy bytes', 0);
