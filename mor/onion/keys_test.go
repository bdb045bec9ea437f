package onion_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/p3do/p3do/mor/onion"
)

func TestServerIDText(t *testing.T) {
	_, keys := newRoute(t, newStream("id"), 1)
	id := keys[0].Public().ID()
	if want := sha256.Sum256(keys[0].Public().Bytes()); id != want {
		t.Error("a server id is the hash of the key")
	}
	text := id.String()
	if got, err := onion.ParseServerID(text); err != nil || got != id || len(text) != 43 {
		t.Errorf("ParseServerID(%q) = %v, %v", text, got, err)
	}
	last := "AEIMQUYcgkosw048"
	loose := text[:42] + string(last[strings.IndexByte(last, text[42])]+1) // the same bits and one more, which base64 drops
	for _, bad := range []string{"", text[:42], text + "A", text + "=", "\n" + text, text[:20] + "\n" + text[20:], text[:42] + "+", loose} {
		if got, err := onion.ParseServerID(bad); err == nil {
			t.Errorf("ParseServerID(%q) = %v", bad, got)
		}
	}
}

func TestParseKeysRefuse(t *testing.T) {
	noncanonical := make([]byte, 32)
	for i := range noncanonical {
		noncanonical[i] = 0xff
	}
	noncanonical[0], noncanonical[31] = 0xf6, 0x7f // 9 + p, the base point
	high := append(make([]byte, 31), 0x80)
	high[0] = 9
	for name, raw := range map[string][]byte{"9 + p": noncanonical, "9 + 2^255": high} {
		if _, err := onion.ParseContextKey(raw); !errors.Is(err, onion.ErrKey) {
			t.Errorf("context key %s: %v", name, err)
		}
		_, servers := newRoute(t, newStream("keys"), 1)
		public := servers[0].Public().Bytes()
		copy(public[onion.ServerKeySize-32:], raw)
		if _, err := onion.ParseServerKey(public); !errors.Is(err, onion.ErrKey) {
			t.Errorf("server key %s: %v", name, err)
		}
	}
	bad := make([]byte, onion.ServerKeySize)
	for i := range bad {
		bad[i] = 0x7e
	}
	bad[0], bad[1] = 0xff, 0xff // a coefficient of 4095, where ML-KEM has at most 3328
	if _, err := onion.ParseServerKey(bad); !errors.Is(err, onion.ErrKey) {
		t.Errorf("server key with an impossible coefficient: %v", err)
	}
	for n := range 3 {
		if _, err := onion.ParseContextKey(make([]byte, 31*n)); !errors.Is(err, onion.ErrLength) {
			t.Errorf("context key of another length: %v", err)
		}
		if _, err := onion.ParseServerKey(make([]byte, onion.ServerKeySize+n-3)); !errors.Is(err, onion.ErrLength) {
			t.Errorf("server key of another length: %v", err)
		}
		if _, err := onion.ParseContextPrivateKey(make([]byte, n*31)); !errors.Is(err, onion.ErrLength) {
			t.Errorf("context seed of another length: %v", err)
		}
		if _, err := onion.ParseServerPrivateKey(make([]byte, n*31)); !errors.Is(err, onion.ErrLength) {
			t.Errorf("server seed of another length: %v", err)
		}
	}
}

// Secrets do not show in anything that a log line, an error or a JSON document is made with.
func TestSecretsDoNotShow(t *testing.T) {
	rand := newStream("redaction")
	hops, contexts := newLeg(t, rand, 1)
	route, servers := newRoute(t, rand, 1)
	surb, keys, err := onion.BuildSURB(rand, route, testMailbox, onion.SURBID{}, testExpiry)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []any{hops[0].Hint, contexts[0], servers[0], keys, surb} {
		encoded, err := json.Marshal(secret)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{fmt.Sprint(secret), fmt.Sprintf("%v|%+v|%x|%s|%d", secret, secret, secret, secret, secret), string(encoded)} {
			if strings.Trim(strings.ReplaceAll(text, "secret", ""), `"|{}`) != "" {
				t.Errorf("%T shows as %.100s", secret, text)
			}
		}
	}
}

// Private keys survive their stored form, and two keys are different.
func TestPrivateKeysSurviveStorage(t *testing.T) {
	rand := newStream("storage")
	_, contexts := newLeg(t, rand, 2)
	_, servers := newRoute(t, rand, 2)
	for i := range contexts {
		context, err := onion.ParseContextPrivateKey(contexts[i].Seed())
		if err != nil || context.Public() != contexts[i].Public() {
			t.Error("context key", err)
		}
		raw := context.Public().Bytes()
		if public, err := onion.ParseContextKey(raw[:]); err != nil || public != context.Public() {
			t.Error("public context key", err)
		}
		server, err := onion.ParseServerPrivateKey(servers[i].Seed())
		if err != nil || server.Public().ID() != servers[i].Public().ID() {
			t.Error("server key", err)
		}
		if public, err := onion.ParseServerKey(server.Public().Bytes()); err != nil || public.ID() != server.Public().ID() {
			t.Error("public server key", err)
		}
	}
	if contexts[0].Public() == contexts[1].Public() || servers[0].Public().ID() == servers[1].Public().ID() {
		t.Error("two keys are the same")
	}
	if (onion.ServerKey{}).Bytes() != nil || (onion.SURB{}).Bytes() != nil || (onion.SURB{}).First() != (onion.ServerID{}) {
		t.Error("a zero value has contents")
	}
	for _, n := range []int{0, 31} {
		short := rand.bytes(n)
		_, err1 := onion.NewContextKey(bytes.NewReader(short))
		_, err2 := onion.NewServerKey(bytes.NewReader(short))
		if _, err := onion.NewHint(bytes.NewReader(short)); err == nil || err1 == nil || err2 == nil {
			t.Errorf("a secret was made of %d bytes", n)
		}
	}
}

// Keys are shared by all that a node does at once.
func TestKeysMayBeUsedConcurrently(t *testing.T) {
	rand := newStream("concurrent")
	hops, contexts := newLeg(t, rand, 1)
	route, servers := newRoute(t, rand, 1)
	p, in := wrap(t, rand, hops), build(t, rand, route)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := onion.PeelOuter(contexts[0], hops[0].Hint, p); err != nil {
				t.Error(err)
			}
			if _, err := onion.PeelInner(servers[0], in); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
