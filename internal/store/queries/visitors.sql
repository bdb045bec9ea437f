-- name: AddVisitor :execrows
INSERT INTO visitors (owner, home) VALUES ($1, $2) ON CONFLICT (owner) DO NOTHING;

-- name: CountVisitors :one
SELECT COUNT(*) FROM visitors;

-- name: CountVisitorsOf :one
SELECT COUNT(*) FROM visitors WHERE home = $1;

-- name: DropVisitors :exec
DELETE FROM visitors WHERE owner NOT IN (SELECT owner FROM owners);
