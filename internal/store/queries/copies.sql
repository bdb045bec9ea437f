-- name: CardsLogged :many
SELECT l.number, l.record, l.label_proof, u.name, u.fingerprint, u.card, v.leaf
FROM logged l JOIN users u ON u.name = l.subject JOIN log_leaves v ON v.number = l.number
WHERE l.kind = 1 AND l.number >= $1 AND u.origin = 'home' ORDER BY l.number LIMIT $2;

-- name: CardNumbers :many
SELECT number FROM logged WHERE kind = 1 AND number >= $1 ORDER BY number LIMIT $2;

-- name: CopyNumbers :many
SELECT number FROM copies WHERE domain = $1 ORDER BY number;

-- name: Given :one
SELECT copies, bytes FROM given WHERE domain = $1;

-- name: CountGiven :exec
INSERT INTO given (domain, copies, bytes) VALUES ($1, $2, $3)
ON CONFLICT (domain) DO UPDATE SET copies = given.copies + excluded.copies, bytes = given.bytes + excluded.bytes;

-- name: DropGiven :exec
DELETE FROM given WHERE domain = $1;

-- name: PutCopy :execrows
INSERT INTO copies (domain, number, name_id, key_id, sealed) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (domain, number) DO NOTHING;

-- name: DropCopy :one
DELETE FROM copies WHERE domain = $1 AND number = $2 RETURNING CAST(LENGTH(sealed) AS BIGINT) AS size;

-- name: DropCopiesOf :exec
DELETE FROM copies WHERE domain = $1;

-- name: CopyOfName :one
SELECT domain, number, name_id, key_id, sealed FROM copies WHERE name_id = $1 AND domain = $2 ORDER BY number DESC LIMIT 1;

-- name: CopiesOfKey :many
SELECT domain, number, name_id, key_id, sealed FROM copies c
WHERE c.key_id = $1 AND c.number = (SELECT MAX(o.number) FROM copies o WHERE o.key_id = c.key_id AND o.domain = c.domain)
ORDER BY c.domain LIMIT 32;

-- name: CopiesToDrop :many
SELECT domain, number FROM copies WHERE key_id = sqlc.arg(key_id) AND (name_id = sqlc.arg(name_id) OR CAST(sqlc.arg(every) AS BIGINT) = 1);

-- name: CosignMirror :execrows
UPDATE mirrors SET checkpoint = sqlc.arg(checkpoint) WHERE origin = sqlc.arg(origin) AND size = sqlc.arg(size) AND root = sqlc.arg(root);
