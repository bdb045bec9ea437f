package standin_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/simulations/standin"
)

// a party has keys of both tiers.
type party struct {
	context *onion.ContextPrivateKey
	hint    onion.Hint
	server  *onion.ServerPrivateKey
}

func newParty(t *testing.T, random *rand.ChaCha8) (p party) {
	t.Helper()
	var err error
	if p.context, err = onion.NewContextKey(random); err != nil {
		t.Fatal(err)
	}
	if p.hint, err = onion.NewHint(random); err != nil {
		t.Fatal(err)
	}
	if p.server, err = onion.NewServerKey(random); err != nil {
		t.Fatal(err)
	}
	return p
}

// A message goes over two contexts to a server and over another to its mailbox, and is what was sent; whoever changes a bit
// of it, or has other keys, is refused.
func TestWayOfAMessage(t *testing.T) {
	s, random := standin.Scheme(), rand.NewChaCha8([32]byte{1})
	a, b, stranger := newParty(t, random), newParty(t, random), newParty(t, random)
	now := time.Unix(1_800_000_000, 0)
	epoch := onion.EpochAt(now)
	payload := bytes.Repeat([]byte("words"), onion.PayloadSize/5+1)[:onion.PayloadSize]
	in, err := s.BuildInner(random, []onion.InnerHop{{Key: a.server.Public()}, {Key: b.server.Public()}}, onion.Mailbox{7}, now.Add(time.Hour), payload)
	if err != nil {
		t.Fatal(err)
	}
	hops := []onion.OuterHop{{Key: a.context.Public(), Hint: a.hint}, {Key: b.context.Public(), Hint: b.hint}}
	packet, err := s.Wrap(random, epoch, hops, onion.OuterEnd{Server: a.server.Public().ID(), Budget: 1}, in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.PeelOuter(stranger.context, a.hint, packet); !errors.Is(err, onion.ErrAuth) {
		t.Errorf("another key: %v", err)
	}
	if _, err := s.PeelOuter(a.context, stranger.hint, packet); !errors.Is(err, onion.ErrAuth) {
		t.Errorf("another hint: %v", err)
	}
	for _, bit := range []int{8 * 40, 8*90 + 1, 8*onion.Size - 1} {
		raw := *packet.Bytes()
		raw[bit/8] ^= 1 << (bit % 8)
		changed, err := onion.Parse(raw[:])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.PeelOuter(a.context, a.hint, changed); !errors.Is(err, onion.ErrAuth) {
			t.Errorf("bit %d was changed: %v", bit, err)
		}
	}
	first, err := s.PeelOuter(a.context, a.hint, packet)
	if err != nil || first.Command != onion.Relay {
		t.Fatalf("%v, %v", first.Command, err)
	}
	if shared(packet.Bytes()[20:], first.Next.Bytes()[20:]) {
		t.Error("16 bytes of a packet show again after a peel")
	}
	second, err := s.PeelOuter(b.context, b.hint, first.Next)
	if err != nil || second.Command != onion.Exposed || second.Inner.ID() != in.ID() {
		t.Fatalf("%v, %v", second.Command, err)
	}
	if _, err := s.PeelInner(stranger.server, in); !errors.Is(err, onion.ErrAuth) {
		t.Errorf("another server: %v", err)
	}
	forward, err := s.PeelInner(a.server, in)
	if err != nil || forward.Command != onion.Forward || forward.Next != b.server.Public().ID() {
		t.Fatalf("%v, %v", forward.Command, err)
	}
	deliver, err := s.PeelInner(b.server, forward.Inner)
	if err != nil || deliver.Command != onion.Deliver || deliver.Mailbox != (onion.Mailbox{7}) || !bytes.Equal(deliver.Payload, payload) {
		t.Fatalf("%v, %v", deliver.Command, err)
	}
}

// shared reports whether 16 bytes in a row of one are anywhere in the other.
func shared(a, b []byte) bool {
	seen := make(map[[16]byte]bool)
	for i := 0; i+16 <= len(a); i++ {
		seen[[16]byte(a[i:])] = true
	}
	for i := 0; i+16 <= len(b); i++ {
		if seen[[16]byte(b[i:])] {
			return true
		}
	}
	return false
}

// A reply opens by the keys of its SURB.
func TestWayOfAReply(t *testing.T) {
	s, random := standin.Scheme(), rand.NewChaCha8([32]byte{2})
	a := newParty(t, random)
	now := time.Unix(1_800_000_000, 0)
	surb, keys, err := s.BuildSURB(random, []onion.InnerHop{{Key: a.server.Public()}}, onion.Mailbox{8}, onion.SURBID{9}, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	payload := bytes.Repeat([]byte{5}, onion.PayloadSize)
	in, err := surb.Use(payload)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := s.PeelInner(a.server, in)
	if err != nil || reply.Command != onion.Reply || reply.SURB != (onion.SURBID{9}) {
		t.Fatalf("%v, %v", reply.Command, err)
	}
	if got, err := keys.Open(reply.Body); err != nil || !bytes.Equal(got, payload) {
		t.Errorf("%v", err)
	}
	if _, err := onion.PeelInner(a.server, in); err == nil {
		t.Error("the real format opens what the stand-in made")
	}
}

// As much randomness is read as the real keys read, so that whatever is drawn after is the same.
func TestAsThirsty(t *testing.T) {
	keys := newParty(t, rand.NewChaCha8([32]byte{3}))
	now := time.Unix(1_800_000_000, 0)
	after := func(s onion.Scheme) uint64 {
		random := rand.NewChaCha8([32]byte{4})
		hop := []onion.InnerHop{{Key: keys.server.Public()}}
		in, err := s.BuildInner(random, hop, onion.Mailbox{}, now.Add(time.Hour), make([]byte, onion.PayloadSize))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Wrap(random, onion.EpochAt(now), []onion.OuterHop{{Key: keys.context.Public(), Hint: keys.hint}}, onion.OuterEnd{}, in); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.BuildSURB(random, hop, onion.Mailbox{}, onion.SURBID{}, now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		return random.Uint64()
	}
	if real, other := after(onion.Scheme{}), after(standin.Scheme()); real != other {
		t.Errorf("after the real keys comes %x, after these %x", real, other)
	}
}

// Without randomness there is an error, and nothing built.
func TestNoRandomness(t *testing.T) {
	keys := newParty(t, rand.NewChaCha8([32]byte{3}))
	for _, k := range []onion.KEM{standin.KEM{}} {
		if _, _, err := k.Outer(new(bytes.Buffer), keys.context.Public()); err == nil {
			t.Error("an outer secret of nothing")
		}
		if _, _, err := k.Inner(new(bytes.Buffer), keys.server.Public()); err == nil {
			t.Error("an inner secret of nothing")
		}
	}
}

func BenchmarkWrap3(b *testing.B) {
	for name, s := range map[string]onion.Scheme{"real": {}, "stand-in": standin.Scheme()} {
		b.Run(name, func(b *testing.B) {
			random := rand.NewChaCha8([32]byte{4})
			key, err := onion.NewContextKey(random)
			if err != nil {
				b.Fatal(err)
			}
			hops := make([]onion.OuterHop, 3)
			for i := range hops {
				hops[i].Key = key.Public()
			}
			for b.Loop() {
				if _, err := s.Wrap(random, 1_000_000, hops, onion.OuterEnd{Drop: true}, onion.Inner{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkBuildInner3(b *testing.B) {
	for name, s := range map[string]onion.Scheme{"real": {}, "stand-in": standin.Scheme()} {
		b.Run(name, func(b *testing.B) {
			random := rand.NewChaCha8([32]byte{4})
			key, err := onion.NewServerKey(random)
			if err != nil {
				b.Fatal(err)
			}
			hops := []onion.InnerHop{{Key: key.Public()}, {Key: key.Public()}, {Key: key.Public()}}
			payload := make([]byte, onion.PayloadSize)
			for b.Loop() {
				if _, err := s.BuildInner(random, hops, onion.Mailbox{}, time.Unix(1_800_000_000, 0), payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
