-- name: AddMark :execrows
INSERT INTO marks (kind, id, until) VALUES ($1, $2, $3) ON CONFLICT (kind, id) DO NOTHING;

-- name: Marks :many
SELECT kind, id, until FROM marks WHERE until > $1 ORDER BY until, kind, id;

-- name: DropMarks :execrows
DELETE FROM marks WHERE until <= $1;
