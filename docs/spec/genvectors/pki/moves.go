package main

import (
	"fmt"
	"time"

	"github.com/p3do/p3do/pki"
)

// certify has an authority certify ann's key under one more name.
func (w *world) certify(home *pki.Authority, key pki.IdentityKey, text string) ([]byte, error) {
	name, err := pki.ParseName(text)
	if err != nil {
		return nil, err
	}
	request, err := pki.NewUserRequest(w.rand, key, name)
	if err != nil {
		return nil, err
	}
	cert, err := home.SignUser(w.rand, now(), request, pki.UserLifetime)
	return cert.DER(), err
}

// moves of ann from a.test to b.test, and back.
func (w *world) moves() ([]vector, error) {
	there, err := w.certify(w.peer, w.ann, "ann@b.test")
	if err != nil {
		return nil, err
	}
	here := w.annCert.DER()
	m, err := w.ann.SignMove(here, there, 7, now())
	if err != nil {
		return nil, err
	}
	base := map[string]string{"ca": hexed(w.home.CA().DER()), "newca": hexed(w.peer.CA().DER())}
	out := map[string]string{
		"name": "ann@a.test", "to": "ann@b.test", "public": hexed(w.ann.Public().Bytes()), "serial": "7", "issued": unix(now()),
	}
	list := vectors("move", "raw", base, out, variant{"ann goes from a.test to b.test", m.Raw(), 0}, usual(m.Raw())...)
	list = append(list, vectors("move", "raw", base, out, variant{"long after her certificates have ended", m.Raw(), 20 * pki.UserLifetime})...)
	exchanged := map[string]string{"ca": base["newca"], "newca": base["ca"]}
	list = append(list, vector{Kind: "move", Comment: "the homes exchanged", Expect: "refuse", In: with(exchanged, "raw", variant{bytes: m.Raw()})})
	bad, err := w.badMoves(here, there, base)
	if err != nil {
		return nil, err
	}
	ways, err := w.ways(m, here, there)
	return append(append(list, bad...), ways...), err
}

// challenges of ann, and what is none.
func (w *world) challenges() ([]vector, error) {
	record := [32]byte{1, 2, 3}
	c, err := w.ann.Challenge(w.annCert.DER(), record, now())
	if err != nil {
		return nil, err
	}
	lapsed := w.annCert.NotAfter().Add(pki.ChallengeAfter)
	late, err := w.ann.Challenge(w.annCert.DER(), record, lapsed.Add(time.Second))
	if err != nil {
		return nil, err
	}
	base := map[string]string{"ca": hexed(w.home.CA().DER())}
	out := map[string]string{
		"name": "ann@a.test", "public": hexed(w.ann.Public().Bytes()), "issued": unix(now()), "record": hexed(record[:]),
	}
	bad := append(usual(c.Raw()),
		variant{"at its end", c.Raw(), pki.ChallengeLifetime},
		variant{"10 minutes before it was issued", c.Raw(), -10 * time.Minute},
		variant{"a second more than a year after the end of her certificate", late.Raw(), lapsed.Add(time.Second).Sub(now())},
		variant{"bob objects for ann", seal(w.bob.Seed(), "challenge v1", c.Raw()[:len(c.Raw())-pki.SignatureSize]), 0},
		variant{"a.test objects for ann", seal(domainSeed(w.home), "challenge v1", c.Raw()[:len(c.Raw())-pki.SignatureSize]), 0},
		variant{"another label", seal(w.ann.Seed(), "move v1", c.Raw()[:len(c.Raw())-pki.SignatureSize]), 0},
	)
	list := vectors("challenge", "raw", base, out, variant{"ann objects", c.Raw(), 0}, bad...)
	list = append(list, vectors("challenge", "raw", base, out, variant{"a second before its end", c.Raw(), pki.ChallengeLifetime - time.Second})...)
	other := map[string]string{"ca": hexed(w.peer.CA().DER())}
	return append(list, vector{Kind: "challenge", Comment: "of another domain", Expect: "refuse", In: with(other, "raw", variant{bytes: c.Raw()})}), nil
}

// moveBody is the layout of the specification.
func moveBody(serial uint64, from, to []byte) []byte {
	b := []byte{1}
	for _, number := range []uint64{serial, instant} {
		for shift := 56; shift >= 0; shift -= 8 {
			b = append(b, byte(number>>shift))
		}
	}
	for _, der := range [][]byte{from, to} {
		b = append(append(b, byte(len(der)>>8), byte(len(der))), der...)
	}
	return b
}

// badMoves are signed well, by those who may not, or say what cannot be.
func (w *world) badMoves(here, there []byte, base map[string]string) (list []vector, err error) {
	bobs, err := w.certify(w.peer, w.bob, "ann@b.test")
	if err != nil {
		return nil, err
	}
	impostor, err := w.authority("b.test")
	if err != nil {
		return nil, err
	}
	forged, err := w.certify(impostor, w.ann, "ann@b.test")
	if err != nil {
		return nil, err
	}
	const label = "move v1"
	ann := w.ann.Seed()
	for _, v := range []variant{
		{"bob moves ann", seal(w.bob.Seed(), label, moveBody(7, here, there)), 0},
		{"a.test moves ann", seal(domainSeed(w.home), label, moveBody(7, here, there)), 0},
		{"b.test moves ann", seal(domainSeed(w.peer), label, moveBody(7, here, there)), 0},
		{"to a name of bob's key", seal(ann, label, moveBody(7, here, bobs)), 0},
		{"bob takes ann's name for his", seal(w.bob.Seed(), label, moveBody(7, here, bobs)), 0},
		{"another authority of b.test has signed", seal(ann, label, moveBody(7, here, forged)), 0},
		{"to the same name", seal(ann, label, moveBody(7, here, here)), 0},
		{"serial 0", seal(ann, label, moveBody(0, here, there)), 0},
		{"serial 2^63", seal(ann, label, moveBody(1<<63, here, there)), 0},
		{"no new certificate", seal(ann, label, moveBody(7, here, nil)), 0},
		{"another label", seal(ann, "revocation v1", moveBody(7, here, there)), 0},
	} {
		list = append(list, vector{Kind: "move", Comment: v.comment, Expect: "refuse", In: with(base, "raw", v)})
	}
	return list, nil
}

// ways: where ann is now, by the moves that are known.
func (w *world) ways(out pki.Move, here, there []byte) (list []vector, err error) {
	sign := func(serial uint64, from, to []byte) []byte {
		m, signing := w.ann.SignMove(from, to, serial, now())
		if err == nil {
			err = signing
		}
		return m.Raw()
	}
	third, err := w.certify(w.peer, w.ann, "anna@b.test")
	if err != nil {
		return nil, err
	}
	back, on, early, again := sign(8, there, here), sign(8, there, third), sign(6, there, third), sign(9, here, there)
	other, failed := w.bob.SignMove(w.bobCert.DER(), mustCertify(w.certify(w.peer, w.bob, "bo@b.test")), 9, now())
	if err != nil || failed != nil {
		return nil, fmt.Errorf("%w, %w", err, failed)
	}
	for _, c := range []struct {
		comment, name, to string
		moves             [][]byte
	}{
		{"one", "ann@a.test", "ann@b.test", [][]byte{out.Raw()}},
		{"none from that name", "ann@b.test", "ann@b.test", [][]byte{out.Raw()}},
		{"of another key", "bob@b.test", "bob@b.test", [][]byte{other.Raw()}},
		{"one after the other", "ann@a.test", "anna@b.test", [][]byte{on, out.Raw()}},
		{"the second is older than the first", "ann@a.test", "ann@b.test", [][]byte{early, out.Raw()}},
		{"and back", "ann@a.test", "ann@a.test", [][]byte{out.Raw(), back}},
		{"and back, for who knows the other name", "ann@b.test", "ann@a.test", [][]byte{out.Raw(), back}},
		{"and there again", "ann@a.test", "ann@b.test", [][]byte{out.Raw(), back, again}},
	} {
		in := map[string]string{"name": c.name, "public": hexed(w.ann.Public().Bytes())}
		for i, raw := range c.moves {
			in[[]string{"first", "second", "third"}[i]] = hexed(raw)
		}
		v := vector{Kind: "follow", Comment: c.comment, Expect: "refuse", In: in}
		if c.to != c.name {
			v.Expect, v.Out = "accept", map[string]string{"to": c.to}
		}
		list = append(list, v)
	}
	return list, nil
}

// mustCertify is nil if there is none: what is made of it then fails.
func mustCertify(der []byte, err error) []byte {
	if err != nil {
		return nil
	}
	return der
}
