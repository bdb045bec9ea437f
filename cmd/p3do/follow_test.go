package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/vault"
)

// Following does not wait for another program that shows messages: it has more to do.
func TestFollowDoesNotWait(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "folder")
	v, err := vault.Create(folder, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	row := func(r any) []byte {
		raw, err := json.Marshal(map[string]any{"v": 2, "r": r})
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	one := bytes.Repeat([]byte{1}, 64)
	err = v.Update(func(tx *vault.Tx) error {
		tx.Put("identity", row(map[string]any{
			"name": "ann@a.test", "root": one[:32],
			"certificate": one, "published": time.Unix(1, 0), "carded": one,
		}))
		tx.Put("inbox/00000000000000000001", row(map[string]any{"number": 1, "from": "bob@b.test", "text": "hello"}))
		tx.Put("unread/00000000000000000001", nil)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	a, err := agent.Open(t.Context(), agent.Config{Home: folder, Passphrase: []byte("secret"), Dial: dial.Direct()})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	release, err := v.Turn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := &command{stdout: io.Discard, stderr: io.Discard}
	if err := c.follow(ctx, a, c.box(a, false)); !errors.Is(err, agent.ErrShowing) || ctx.Err() != nil {
		t.Errorf("while another one shows: %v", err)
	}
	if err := errors.Join(release(), c.follow(ctx, a, c.box(a, false))); err != nil {
		t.Error(err)
	}
}
