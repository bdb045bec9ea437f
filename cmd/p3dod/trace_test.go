package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// A trace is something that a disk may not show, in each form in which it might.
type trace struct {
	what  string
	forms []form // the first as it is
}

type form struct {
	name string
	raw  []byte
}

// traceOf is the trace of a text, or of bytes: as it is, in UTF-16 of both orders, base64 of
// both alphabets wherever it begins, hexadecimal, and as JSON may escape it. What stands
// beside it decides some characters at the ends of a base64 form; they are left out, and so is
// a form of which little would be left.
func traceOf(what string, raw []byte) trace {
	hexadecimal := hex.EncodeToString(raw)
	t := trace{what, []form{{"as it is", raw}, {"in hexadecimal", []byte(hexadecimal)}, {"in HEXADECIMAL", []byte(strings.ToUpper(hexadecimal))}}}
	for shift := range 3 {
		shifted := append(make([]byte, shift), raw...)
		for _, text := range []string{base64.RawStdEncoding.EncodeToString(shifted), base64.RawURLEncoding.EncodeToString(shifted)} {
			if len(text) >= 4+6+4 {
				t.forms = append(t.forms, form{fmt.Sprintf("in base64, shifted by %d", shift), []byte(text[4 : len(text)-4])})
			}
		}
	}
	var escaped strings.Builder
	var little, big []byte
	for _, unit := range utf16.Encode([]rune(string(raw))) {
		little, big = append(little, byte(unit), byte(unit>>8)), append(big, byte(unit>>8), byte(unit))
		fmt.Fprintf(&escaped, `\u%04x`, unit)
	}
	quoted, _ := json.Marshal(string(raw)) // a string is always written
	return trace{what, append(t.forms, form{"in UTF-16, little first", little}, form{"in UTF-16, big first", big},
		form{"all in escapes of JSON", []byte(escaped.String())}, form{"in JSON", quoted[1 : len(quoted)-1]})}
}

func textTraces(what string, texts ...string) (all []trace) {
	for _, text := range texts {
		all = append(all, traceOf(what, []byte(text)))
	}
	return all
}

// in says in which form it is there; empty: in none.
func (t trace) in(content []byte) string {
	for _, f := range t.forms {
		if bytes.Contains(content, f.raw) {
			return f.name
		}
	}
	return ""
}

// A sight is a trace that was found: what, in which form, in which file.
type sight struct{ what, form, file string }

// searchFolder looks for traces in all bytes of all files of a folder, their names, and in all
// values of its databases, for there a long one may lie in several pages.
func searchFolder(ctx context.Context, dir string, traces []trace) (found []sight, err error) {
	look := func(file string, content []byte) {
		for _, t := range traces {
			s := sight{t.what, t.in(content), file}
			if s.form != "" && !slices.Contains(found, s) {
				found = append(found, s)
			}
		}
	}
	return found, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		file, _ := filepath.Rel(dir, path) // it is below
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		look(file, content)
		look("the name of "+file, []byte(file))
		if filepath.Ext(path) == ".db" {
			err = eachValue(ctx, path, func(value []byte) { look(file, value) })
		}
		return err
	})
}

// eachValue reads a database, of a node that serves or does not.
func eachValue(ctx context.Context, path string, look func([]byte)) error {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer db.Close()
	tables, err := values(ctx, db, "SELECT name FROM sqlite_schema WHERE type = 'table'")
	for _, table := range tables {
		var all [][]byte
		if err == nil {
			all, err = values(ctx, db, fmt.Sprintf("SELECT * FROM %q", table))
		}
		for _, value := range all {
			look(value)
		}
	}
	return err
}

// values are those of all rows, one after the other.
func values(ctx context.Context, db *sql.DB, query string) (all [][]byte, err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	for err == nil && rows.Next() {
		row, places := make([][]byte, len(columns)), make([]any, len(columns))
		for i := range row {
			places[i] = &row[i]
		}
		err = rows.Scan(places...)
		all = append(all, row...)
	}
	if err != nil {
		return nil, err
	}
	return all, rows.Err()
}

// TestTracesAreFound: each form of a trace is found in a file, in its name, and in a value of a
// database that is in several pages of it.
func TestTracesAreFound(t *testing.T) {
	const text = `Ünder the <old> "bridge" at seven`
	secret := traceOf("it", []byte(text))
	if len(secret.forms) != 13 {
		t.Errorf("%d forms", len(secret.forms))
	}
	for _, f := range secret.forms {
		dir := t.TempDir()
		around := bytes.Repeat([]byte{0xa7}, 5000)
		if err := os.WriteFile(filepath.Join(dir, "file"), slices.Concat(around, f.raw, around), 0o600); err != nil {
			t.Fatal(err)
		}
		if found, err := searchFolder(t.Context(), dir, []trace{secret}); err != nil || len(found) != 1 || found[0].what != "it" || found[0].file != "file" {
			t.Errorf("%s: %v, %v", f.name, found, err)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "quiet-heron"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "node.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	long := strings.Repeat("otter ", 3000) // over several pages
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE t (a BLOB, b TEXT); INSERT INTO t VALUES (?, ?)", []byte("x"+long), nil); err != nil {
		t.Fatal(err)
	}
	found, err := searchFolder(t.Context(), dir, append(textTraces("a name", "quiet-heron"), textTraces("a long one", long)...))
	want := []sight{{"a long one", "as it is", "node.db"}, {"a name", "as it is", "the name of quiet-heron"}}
	if err != nil || !slices.Equal(found, want) {
		t.Errorf("%v, %v", found, err)
	}
}
