package main

import (
	"crypto/ed25519"
	"time"

	"github.com/p3do/p3do/pki"
)

// What travels: views, revocations, successions, and their envelope.

// seal signs body as the specification says: with a label, appended.
func seal(seed []byte, label string, body []byte) []byte {
	signed := append([]byte("p3do "+label+"\x00"), body...)
	return append(append([]byte(nil), body...), ed25519.Sign(ed25519.NewKeyFromSeed(seed), signed)...)
}

// without returns a copy of raw less its last n signatures.
func without(raw []byte, n int) []byte {
	return append([]byte(nil), raw[:len(raw)-n*pki.SignatureSize]...)
}

// domainSeed is the seed of an authority's domain key; the layout is in the specification.
func domainSeed(a *pki.Authority) []byte { return a.Marshal()[1 : 1+pki.SeedSize] }

// view is what a.test says of b.test, c.test and d.test.
func (w *world) view() (pki.SignedView, error) {
	c, err := pki.ParseDomain("c.test")
	if err != nil {
		return pki.SignedView{}, err
	}
	d, err := pki.ParseDomain("d.test")
	if err != nil {
		return pki.SignedView{}, err
	}
	peer := w.peer.CA().Fingerprint()
	return w.home.SignView(pki.View{
		Serial: 9, Issued: now(), Expires: now().Add(pki.ViewLifetime),
		Sightings: []pki.Sighting{
			{Domain: w.peer.Domain(), Key: peer, Since: now().Add(-time.Hour), Standing: pki.Mutual, DNS: peer, Secure: true},
			{Domain: c, Key: pki.Fingerprint{1}, Since: now(), Standing: pki.Countersigned},
			{Domain: d, DNS: pki.Fingerprint{2}},
		},
	})
}

// views of a.test.
func (w *world) views() ([]vector, error) {
	signed, err := w.view()
	if err != nil {
		return nil, err
	}
	raw, seed := signed.Raw(), domainSeed(w.home)
	body := without(raw, 1)
	// From the end of the body: the last sighting has 1+6 of domain, key, since, standing, DNS, secure.
	const last = 1 + 32 + 1 + 8 + 32
	// From its begin: version, domain, serial, issued, expires, number of sightings.
	const first = 1 + 1 + 6 + 3*8 + 2
	resign := func(comment string, i int, value byte) variant {
		bent := append([]byte(nil), body...)
		bent[len(bent)+i] = value
		return variant{comment, seal(seed, "server view v1", bent), 0}
	}
	bad := append(usual(raw), variant{"expired", raw, pki.ViewLifetime}, variant{"not begun", raw, -pki.ClockSkew - time.Second},
		variant{"another label", seal(seed, "server descriptor v1", body), 0},
		variant{"by the key of b.test", seal(domainSeed(w.peer), "server view v1", body), 0},
		resign("DNSSEC neither vouches nor does not", -1, 2),
		resign("a standing without a key", -1-32-1, 1),
		resign("since, without a key", -1-32-1-1, 1),
		resign("not ascending", -last-6, 'b'),
		resign("about a.test itself", first+1-len(body), 'a'),
		resign("more sightings than there are", first-1-len(body), 4))
	base := map[string]string{"ca": hexed(w.home.CA().DER())}
	list := vectors("view", "raw", base, map[string]string{
		"domain": "a.test", "serial": "9", "issued": unix(signed.Issued), "expires": unix(signed.Expires),
		"sightings": "3", "seen": hexed(w.sighted(signed)),
	}, variant{"the view of a.test", raw, 0}, bad...)
	in := with(map[string]string{"ca": hexed(w.peer.CA().DER())}, "raw", variant{"", raw, 0})
	return append(list, vector{Kind: "view", Comment: "under another domain", Expect: "refuse", In: in}), nil
}

// sighted is the key that the view states for b.test.
func (w *world) sighted(v pki.SignedView) []byte {
	s, _ := v.Of(w.peer.Domain())
	return s.Key[:]
}

// A kept is a key that is kept elsewhere, of each kind.
type kept struct {
	revoker   pki.RevocationKey
	offline   pki.OfflineRoot
	successor pki.Successor
	third     pki.Successor
}

func (w *world) kept() (k kept, err error) {
	if k.revoker, err = pki.NewRevocationKey(w.rand); err != nil {
		return k, err
	}
	if k.offline, err = pki.NewOfflineRoot(w.rand); err != nil {
		return k, err
	}
	if k.successor, err = pki.NewSuccessor(w.rand); err != nil {
		return k, err
	}
	k.third, err = pki.NewSuccessor(w.rand)
	return k, err
}

// revocations of ann@a.test, by whoever may.
func (w *world) revocations() ([]vector, error) {
	k, err := w.kept()
	if err != nil {
		return nil, err
	}
	der := w.annCert.DER()
	binding := w.ann.BindRevoker(k.revoker.Public())
	root := k.offline.Fingerprint()
	base := map[string]string{"ca": hexed(w.home.CA().DER()), "root": hexed(root[:])}
	var list []vector
	for _, c := range []struct {
		comment, scope string
		sign           func() (pki.Revocation, error)
	}{
		{"ann ends her key", "1", func() (pki.Revocation, error) { return w.ann.RevokeKey(der, now()) }},
		{"her revocation key ends it", "1", func() (pki.Revocation, error) { return k.revoker.RevokeKey(der, binding, now()) }},
		{"a.test ends her name", "2", func() (pki.Revocation, error) { return w.home.RevokeName(der, now()) }},
		{"its offline root ends it", "2", func() (pki.Revocation, error) { return k.offline.RevokeName(der, now()) }},
	} {
		r, err := c.sign()
		if err != nil {
			return nil, err
		}
		signer := r.Signer()
		out := map[string]string{
			"name": "ann@a.test", "public": hexed(w.ann.Public().Bytes()), "scope": c.scope, "issued": unix(now()), "signer": hexed(signer[:]),
		}
		good := variant{c.comment, r.Raw(), 0}
		list = append(list, vectors("revocation", "raw", base, out, good, usual(r.Raw())...)...)
		late := variant{c.comment + ", long after her certificate has ended", r.Raw(), 20 * pki.UserLifetime}
		list = append(list, vectors("revocation", "raw", base, out, late)...)
	}
	return append(list, w.badRevocations(k, base)...), nil
}

// badRevocations are well made, by those who may not.
func (w *world) badRevocations(k kept, base map[string]string) (list []vector) {
	der := w.annCert.DER()
	const label = "revocation v1"
	body := func(scope, by byte, signer, binding []byte) []byte {
		b := []byte{1, scope, by}
		for shift := 56; shift >= 0; shift -= 8 {
			b = append(b, byte(int64(instant)>>shift))
		}
		b = append(append(b, byte(len(der)>>8), byte(len(der))), der...)
		return append(append(b, signer...), binding...)
	}
	peer := w.peer.CA().Key().Bytes()
	home := w.home.CA().Key().Bytes()
	ann, bob := w.ann.Public().Bytes(), w.bob.Public().Bytes()
	revoker := k.revoker.Public().Bytes()
	for _, v := range []variant{
		{"b.test ends a name of a.test", seal(domainSeed(w.peer), label, body(2, 3, peer, nil)), 0},
		{"b.test, as an offline root", seal(domainSeed(w.peer), label, body(2, 4, peer, nil)), 0},
		{"a.test ends a key", seal(domainSeed(w.home), label, body(1, 3, home, nil)), 0},
		{"ann ends a name", seal(w.ann.Seed(), label, body(2, 1, ann, nil)), 0},
		{"bob ends ann's key", seal(w.bob.Seed(), label, body(1, 1, bob, nil)), 0},
		{"a revocation key that bob has bound", seal(k.revoker.Seed(), label, body(1, 2, revoker, w.bob.BindRevoker(k.revoker.Public()))), 0},
		{"a revocation key that nobody has bound", seal(k.revoker.Seed(), label, body(1, 2, revoker, make([]byte, 64))), 0},
		{"a binding where none belongs", seal(w.ann.Seed(), label, body(1, 1, ann, make([]byte, 64))), 0},
		{"another label", seal(w.ann.Seed(), "user card v1", body(1, 1, ann, nil)), 0},
		{"scope 3", seal(w.ann.Seed(), label, body(3, 1, ann, nil)), 0},
	} {
		list = append(list, vector{Kind: "revocation", Comment: v.comment, Expect: "refuse", In: with(base, "raw", v)})
	}
	other := map[string]string{"ca": hexed(w.peer.CA().DER()), "root": base["root"]}
	good := variant{"judged as one of b.test", seal(w.ann.Seed(), label, body(1, 1, ann, nil)), 0}
	list = append(list, vector{Kind: "revocation", Comment: good.comment, Expect: "refuse", In: with(other, "raw", good)})
	return list
}

// successions of a.test, and who is the heir by them.
func (w *world) successions() ([]vector, error) {
	k, err := w.kept()
	if err != nil {
		return nil, err
	}
	home, err := w.home.Commit(k.successor.Fingerprint(), k.offline.Fingerprint())
	if err != nil {
		return nil, err
	}
	_, old, err := k.successor.Succeed(w.rand, now(), home, k.third.Fingerprint())
	if err != nil {
		return nil, err
	}
	_, alone, err := k.successor.SucceedAlone(w.rand, now(), home.Commitment(), k.third.Fingerprint())
	if err != nil {
		return nil, err
	}
	_, rooted, err := k.third.SucceedByRoot(w.rand, now(), home.Commitment(), pki.Fingerprint{}, k.offline)
	if err != nil {
		return nil, err
	}
	second, err := pki.NewOfflineRoot(w.rand)
	if err != nil {
		return nil, err
	}
	root, err := k.offline.Succeed(w.home.Domain(), second, now())
	if err != nil {
		return nil, err
	}
	var list []vector
	for _, c := range []struct {
		comment string
		s       pki.SignedSuccession
	}{
		{"the key of a.test hands over", old}, {"the key that it had committed to follows alone", alone},
		{"its offline root names another", rooted}, {"its offline root hands over", root},
	} {
		before, new, signer := c.s.Old, c.s.New(), c.s.Signer()
		list = append(list, vectors("succession", "raw", nil, map[string]string{
			"domain": "a.test", "old": hexed(before[:]), "new": hexed(new[:]), "next": hexed(c.s.Next[:]), "signer": hexed(signer[:]),
			"issued": unix(now()),
		}, variant{c.comment, c.s.Raw(), 0}, usual(c.s.Raw())...)...)
	}
	list = append(list, w.badSuccessions(k, old.Raw())...)
	heirs, err := w.heirs(k, home.Commitment(), old.Raw(), rooted.Raw())
	return append(list, heirs...), err
}

// badSuccessions have their fields as old has, and other signatures.
func (w *world) badSuccessions(k kept, old []byte) (list []vector) {
	body := without(old, 2)
	const possession, label = "succession key v1", "succession v1"
	home, next := domainSeed(w.home), k.successor.Seed()
	by := func(by byte) []byte {
		b := append([]byte(nil), body...)
		b[2] = by
		return b
	}
	for _, v := range []variant{
		{"no proof by the new key", seal(home, label, seal(home, possession, body)), 0},
		{"without the old signature", seal(next, label, seal(next, possession, body)), 0},
		{"the labels exchanged", seal(home, possession, seal(next, label, body)), 0},
		{"one signature only", seal(next, possession, body), 0},
		{"said to be by the root", seal(home, label, seal(next, possession, by(4))), 0},
		{"said to be by the new key", seal(home, label, seal(next, possession, by(6))), 0},
		{"said to be by an authority", seal(home, label, seal(next, possession, by(3))), 0},
	} {
		list = append(list, vector{Kind: "succession", Comment: v.comment, Expect: "refuse", In: with(nil, "raw", v)})
	}
	return list
}

// heirs asks who follows the pinned key, by the successions known.
func (w *world) heirs(k kept, pinned pki.Commitment, old, rooted []byte) ([]vector, error) {
	thief, err := pki.NewSuccessor(w.rand)
	if err != nil {
		return nil, err
	}
	_, theft, err := thief.Succeed(w.rand, now(), w.home, pki.Fingerprint{})
	if err != nil {
		return nil, err
	}
	var list []vector
	for _, c := range []struct {
		comment       string
		next, root    pki.Fingerprint
		first, second []byte
		heir          pki.Fingerprint // zero: none
	}{
		{"as it had committed to", pinned.Next, pinned.Root, old, nil, pinned.Next},
		{"committed to none", pki.Fingerprint{}, pinned.Root, old, nil, pinned.Next},
		{"the old key names another than it had committed to", pinned.Next, pinned.Root, theft.Raw(), nil, pki.Fingerprint{}},
		{"the thief of the old key beside the owner", pinned.Next, pinned.Root, theft.Raw(), old, pinned.Next},
		{"the old key names two, committed to none", pki.Fingerprint{}, pki.Fingerprint{}, theft.Raw(), old, pki.Fingerprint{}},
		{"the root overrules", pinned.Next, pinned.Root, old, rooted, k.third.Fingerprint()},
		{"a root that is not pinned does not", pinned.Next, pki.Fingerprint{}, old, rooted, pinned.Next},
	} {
		in := map[string]string{
			"domain": "a.test", "key": hexed(pinned.Key[:]), "next": hexed(c.next[:]), "root": hexed(c.root[:]), "first": hexed(c.first),
		}
		if c.second != nil {
			in["second"] = hexed(c.second)
		}
		v := vector{Kind: "heir", Comment: c.comment, Expect: "refuse", In: in}
		if !c.heir.IsZero() {
			v.Expect, v.Out = "accept", map[string]string{"new": hexed(c.heir[:])}
		}
		list = append(list, v)
	}
	return list, nil
}

// envelopes: what travels, by its first byte.
func (w *world) envelopes() ([]vector, error) {
	v, err := w.view()
	if err != nil {
		return nil, err
	}
	raw := v.Statement().Marshal()
	long := append([]byte{2}, make([]byte, pki.MaxRevocationSize+1)...)
	return vectors("envelope", "raw", nil, map[string]string{"kind": "1", "inner": hexed(v.Raw())},
		variant{"the view of a.test", raw, 0}, variant{"kind 0", append([]byte{0}, raw[1:]...), 0},
		variant{"kind 8", append([]byte{8}, raw[1:]...), 0}, variant{"nothing", nil, 0}, variant{"a kind alone", raw[:1], 0},
		variant{"longer than a revocation may be", long, 0}), nil
}
