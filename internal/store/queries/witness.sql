-- name: Witnessed :one
SELECT origin, size, root, checkpoint, descriptor FROM witnessed WHERE origin = $1;

-- name: AllWitnessed :many
SELECT origin, size, root, checkpoint, descriptor FROM witnessed ORDER BY origin;

-- name: AddWitnessed :execrows
INSERT INTO witnessed (origin, size, root, checkpoint, descriptor) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (origin) DO NOTHING;

-- name: AdvanceWitnessed :execrows
UPDATE witnessed SET size = sqlc.arg(size), root = sqlc.arg(root), checkpoint = sqlc.arg(checkpoint),
    descriptor = sqlc.arg(descriptor)
WHERE origin = sqlc.arg(origin) AND size = sqlc.arg(old_size) AND root = sqlc.arg(old_root);

-- name: Mirror :one
SELECT origin, size, root, checkpoint, bytes, descriptor FROM mirrors WHERE origin = $1;

-- name: BeginMirror :execrows
INSERT INTO mirrors (origin, size, root, checkpoint, bytes) VALUES ($1, 0, '', '', 0)
ON CONFLICT (origin) DO NOTHING;

-- name: SetMirror :exec
UPDATE mirrors SET size = $1, root = $2, checkpoint = $3, descriptor = $4 WHERE origin = $5;

-- name: GrowMirror :execrows
UPDATE mirrors SET bytes = bytes + sqlc.arg(add) WHERE origin = sqlc.arg(origin) AND bytes <= sqlc.arg(room);

-- name: MirrorTile :one
SELECT width, data FROM mirror_tiles WHERE origin = $1 AND level = $2 AND number = $3;

-- name: PutMirrorTile :exec
INSERT INTO mirror_tiles (origin, level, number, width, data) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (origin, level, number) DO UPDATE SET width = excluded.width, data = excluded.data;

-- name: DropWitnessed :execrows
DELETE FROM witnessed WHERE origin = $1;

-- name: DropMirror :execrows
DELETE FROM mirrors WHERE origin = $1;

-- name: DropMirrorTiles :exec
DELETE FROM mirror_tiles WHERE origin = $1;

-- name: LogKeys :many
SELECT origin, key_read, key, key_since, key_seen FROM mirrors ORDER BY origin;

-- name: SetLogKey :execrows
UPDATE mirrors SET key_read = $1, key = $2, key_since = $3, key_seen = $4 WHERE origin = $5;

-- name: NewestRead :one
SELECT newest_read FROM mirrors WHERE origin = $1;

-- name: SetNewestRead :execrows
UPDATE mirrors SET newest_read = sqlc.arg(next) WHERE origin = sqlc.arg(origin) AND newest_read = sqlc.arg(was);

-- name: PutNewest :exec
INSERT INTO newest (origin, label, number) VALUES ($1, $2, $3)
ON CONFLICT (origin, label) DO UPDATE SET number = excluded.number;

-- name: Newest :one
SELECT number FROM newest WHERE origin = $1 AND label = $2;

-- name: DropNewest :exec
DELETE FROM newest WHERE origin = $1;
