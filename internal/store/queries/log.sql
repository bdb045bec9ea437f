-- name: LogSize :one
SELECT CAST(COALESCE(MAX(number), -1) + 1 AS BIGINT) AS size FROM log_leaves;

-- name: AddLeaf :exec
INSERT INTO log_leaves (number, leaf) VALUES ($1, $2);

-- name: Leaves :many
SELECT leaf FROM log_leaves WHERE number >= $1 ORDER BY number LIMIT $2;

-- name: AddLogHash :exec
INSERT INTO log_hashes (level, number, hash) VALUES ($1, $2, $3);

-- name: LogHash :one
SELECT hash FROM log_hashes WHERE level = $1 AND number = $2;

-- name: LogHashes :many
SELECT hash FROM log_hashes WHERE level = $1 AND number >= $2 ORDER BY number LIMIT $3;

-- name: Logged :one
SELECT kind, subject, number, record, label_proof FROM logged WHERE kind = $1 AND subject = $2;

-- name: PutLogged :exec
INSERT INTO logged (kind, subject, number, record, label_proof) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (kind, subject)
DO UPDATE SET number = excluded.number, record = excluded.record, label_proof = excluded.label_proof;

-- name: DropLogged :exec
DELETE FROM logged WHERE kind = $1 AND subject = $2;

-- name: LogHead :one
SELECT name, size, checkpoint FROM log_heads WHERE name = $1;

-- name: PutLogHead :exec
INSERT INTO log_heads (name, size, checkpoint) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET size = excluded.size, checkpoint = excluded.checkpoint;

-- name: SignedSize :one
SELECT CAST(COALESCE(MAX(size), 0) AS BIGINT) AS size FROM log_heads;

-- name: CutLeaves :exec
DELETE FROM log_leaves WHERE number >= $1;

-- name: CutLogHashes :exec
DELETE FROM log_hashes WHERE level = $1 AND number >= $2;

-- name: MoveLogged :exec
UPDATE logged SET number = sqlc.arg(after) WHERE number = sqlc.arg(before);

-- name: LastLogAgain :one
SELECT CAST(COALESCE(MAX(-number), 0) AS BIGINT) AS last FROM log_again;

-- name: AddLogAgain :exec
INSERT INTO log_again (number, leaf) VALUES ($1, $2);

-- name: LogAgain :many
SELECT number, leaf FROM log_again ORDER BY number DESC;

-- name: DropLogAgain :exec
DELETE FROM log_again;
