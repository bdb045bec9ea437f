-- name: PutPin :execrows
INSERT INTO pins (kind, subject, fingerprint) VALUES ($1, $2, $3)
ON CONFLICT (kind, subject) DO NOTHING;

-- name: Pin :one
SELECT fingerprint FROM pins WHERE kind = $1 AND subject = $2;

-- name: AddPeer :execrows
INSERT INTO peers (domain, ca, given, received, since, context) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (domain) DO NOTHING;

-- name: ReplacePeer :exec
UPDATE peers SET ca = $1, given = $2, received = $3, since = $4, context = $5 WHERE domain = $6;

-- name: SetReceived :execrows
UPDATE peers SET received = $1 WHERE domain = $2;

-- name: Peer :one
SELECT domain, ca, given, received, since, context FROM peers WHERE domain = $1;

-- name: Peers :many
SELECT domain, ca, given, received, since, context FROM peers ORDER BY domain;

-- name: Count :execrows
UPDATE counters SET value = value + sqlc.arg(add) WHERE name = sqlc.arg(name) AND value <= sqlc.arg(room);

-- name: NextItem :one
UPDATE counters SET value = value + 1 WHERE name = 'items' RETURNING value;
