package main

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/rand/v2"
	"time"

	"github.com/p3do/p3do/pki"
)

// keys: a seed, its public key, the fingerprint.
func (w *world) keys() ([]vector, error) {
	small := make([]byte, 32)
	small[0] = 1
	return []vector{
		{
			Kind: "key", Comment: "a seed, its public key and the fingerprint of that", Expect: "accept",
			In:  map[string]string{"seed": hexed(w.ann.Seed())},
			Out: map[string]string{"public": hexed(w.ann.Public().Bytes()), "fingerprint": w.ann.Fingerprint().String()},
		},
		{Kind: "key", Comment: "a seed too short", Expect: "refuse", In: map[string]string{"seed": hexed(w.ann.Seed()[1:])}},
		{Kind: "public", Comment: "a public key", Expect: "accept", In: map[string]string{"public": hexed(w.ann.Public().Bytes())}},
		{Kind: "public", Comment: "the neutral element, of order 1", Expect: "refuse", In: map[string]string{"public": hexed(small)}},
		{Kind: "public", Comment: "a point of order 4", Expect: "refuse", In: map[string]string{"public": hexed(make([]byte, 32))}},
	}, nil
}

// statements: signatures with a label, and logins.
func (w *world) statements() ([]vector, error) {
	const label = "example v1"
	signature := w.ann.Sign(label, []byte("message"))
	in := func(label, message string, signature []byte) map[string]string {
		return map[string]string{
			"public": hexed(w.ann.Public().Bytes()), "label": label, "message": hexed([]byte(message)), "signature": hexed(signature),
		}
	}
	exporter := [pki.ExporterSize]byte{1, 2, 3}
	other := [pki.ExporterSize]byte{1, 2, 4}
	proof := w.ann.SignLogin(exporter, w.annCert.Name())
	login := func(exporter [pki.ExporterSize]byte, name string) map[string]string {
		return map[string]string{
			"public": hexed(w.ann.Public().Bytes()), "exporter": hexed(exporter[:]), "name": name, "signature": hexed(proof),
		}
	}
	devices, err := w.deviceLogins()
	if err != nil {
		return nil, err
	}
	return append([]vector{
		{Kind: "statement", Comment: "a signature", Expect: "accept", In: in(label, "message", signature)},
		{Kind: "statement", Comment: "another label", Expect: "refuse", In: in("example v2", "message", signature)},
		{Kind: "statement", Comment: "another message", Expect: "refuse", In: in(label, "massage", signature)},
		{Kind: "statement", Comment: "a bit flipped", Expect: "refuse", In: in(label, "message", flip(signature, 40))},
		{Kind: "statement", Comment: "a label that is not one", Expect: "refuse", In: in("Example", "message", signature)},
		{Kind: "statement", Comment: "no signature", Expect: "refuse", In: in(label, "message", nil)},
		{Kind: "login", Comment: "a login", Expect: "accept", In: login(exporter, "ann@a.test")},
		{Kind: "login", Comment: "on another connection", Expect: "refuse", In: login(other, "ann@a.test")},
		{Kind: "login", Comment: "under another name", Expect: "refuse", In: login(exporter, "eve@a.test")},
	}, devices...), nil
}

// authorities: the certificates of domains, and the file of an authority.
func (w *world) authorities() ([]vector, error) {
	ca := w.home.CA()
	bad := append(usual(ca.DER()),
		variant{"a cross-certificate", w.cross.DER(), 0}, variant{"a user", w.annCert.DER(), 0})
	list := vectors("ca", "der", nil,
		map[string]string{"domain": "a.test", "public": hexed(ca.Key().Bytes()), "fingerprint": ca.Fingerprint().String()},
		variant{"the certificate of a.test", ca.DER(), 0}, bad...)
	cross := w.cross
	list = append(list, vectors("cross", "der", nil,
		map[string]string{"domain": "b.test", "public": hexed(cross.Key().Bytes()), "fingerprint": cross.Fingerprint().String()},
		variant{"the cross-certificate of a.test over b.test", cross.DER(), 0},
		variant{"the certificate of a domain", ca.DER(), 0}, variant{"a user", w.annCert.DER(), 0}, variant{"nothing", nil, 0})...)
	next, root := pki.Fingerprint{1}, pki.Fingerprint{2}
	home, err := w.home.Commit(next, root)
	if err != nil {
		return nil, err
	}
	secret := home.Marshal()
	same := append(secret[:len(secret)-32:len(secret)-32], next[:]...)
	return append(list, vectors("authority", "raw", nil,
		map[string]string{"domain": "a.test", "ca": hexed(ca.DER()), "next": hexed(next[:]), "root": hexed(root[:])},
		variant{"the secret file of a.test's authority", secret, 0},
		variant{"another version", flip(secret, 0), 0}, variant{"another domain key", flip(secret, 1), 0},
		variant{"another federation key", flip(secret, 33), 0},
		variant{"one key as next and as root", same, 0}, variant{"the last byte missing", secret[:len(secret)-1], 0})...), nil
}

// requests: PKCS #10.
func (w *world) requests() ([]vector, error) {
	request, err := pki.NewUserRequest(w.rand, w.ann, w.annCert.Name())
	if err != nil {
		return nil, err
	}
	return vectors("request", "der", nil,
		map[string]string{"name": "ann@a.test", "public": hexed(w.ann.Public().Bytes())},
		variant{"ann asks for her name", request.DER(), 0},
		append(usual(request.DER()), variant{"a certificate", w.annCert.DER(), 0})...), nil
}

// users: certificates of users under the certificate of their domain.
func (w *world) users() ([]vector, error) {
	mail, bob := general(1, "bob@b.test"), w.bobCert.DER()
	bad := append(usual(bob), variant{"ended", bob, pki.UserLifetime + time.Second},
		variant{"not begun", bob, -pki.ClockSkew - time.Second}, variant{"a user of a.test", w.annCert.DER(), 0})
	forgeries := []struct {
		comment string
		subject pkix.Name
		names   []string // a tag character, then the text
	}{
		{"b.test signs for a.test", pkix.Name{}, []string{"1ann@a.test"}},
		{"b.test signs for sub.b.test", pkix.Name{}, []string{"1bob@sub.b.test"}},
		{"upper case", pkix.Name{}, []string{"1Bob@b.test"}},
		{"a quoted local part", pkix.Name{}, []string{"1\"a@b\"@b.test"}},
		{"a host", pkix.Name{}, []string{"2b.test"}},
		{"a URI", pkix.Name{}, []string{"6p3do://b.test/bob"}},
		{"two mailboxes", pkix.Name{}, []string{"1bob@b.test", "1eve@b.test"}},
		{"a mailbox and a host", pkix.Name{}, []string{"1bob@b.test", "2b.test"}},
		{"no name", pkix.Name{CommonName: "bob@b.test"}, nil},
		{"a subject", pkix.Name{CommonName: "ann@a.test"}, []string{"1bob@b.test"}},
	}
	for _, f := range forgeries {
		names := make([]asn1.RawValue, len(f.names))
		for i, n := range f.names {
			names[i] = general(int(n[0]-'0'), n[1:])
		}
		der, err := w.forge(bob, f.subject, names...)
		if err != nil {
			return nil, err
		}
		bad = append(bad, variant{f.comment, der, 0})
	}
	again, err := w.forge(bob, pkix.Name{}, mail)
	if err != nil {
		return nil, err
	}
	out := map[string]string{"name": "bob@b.test", "public": hexed(w.bob.Public().Bytes())}
	base := map[string]string{"ca": hexed(w.peer.CA().DER())}
	list := vectors("user", "der", base, out, variant{"bob under b.test", bob, 0}, bad...)
	return append(list, vectors("user", "der", base, out, variant{"bob once more, as the forgeries are made", again, 0})...), nil
}

// links: TLS certificates of nodes under the certificate of their domain.
func (w *world) links() ([]vector, error) {
	link := w.link.DER()
	sub, err := w.forge(link, pkix.Name{}, general(2, "sub.b.test"))
	if err != nil {
		return nil, err
	}
	bad := append(usual(link), variant{"a user", w.bobCert.DER(), 0}, variant{"a sub-domain", sub, 0},
		variant{"ended", link, pki.LinkLifetime + time.Second})
	return vectors("link", "der", map[string]string{"ca": hexed(w.peer.CA().DER())}, nil,
		variant{"the node of b.test, pinned", link, 0}, bad...), nil
}

// peers: the same through a cross-certificate, as a.test judges.
func (w *world) peers() ([]vector, error) {
	link, bob := w.link.DER(), w.bobCert.DER()
	other, err := w.authority("c.test")
	if err != nil {
		return nil, err
	}
	strange, err := other.Countersign(w.rand, now(), w.peer.CA())
	if err != nil {
		return nil, err
	}
	forged, err := w.forge(bob, pkix.Name{}, general(1, "ann@a.test"))
	if err != nil {
		return nil, err
	}
	base := map[string]string{"authority": hexed(w.home.Marshal()), "cross": hexed(w.cross.DER())}
	list := vectors("peer", "der", base, map[string]string{"domain": "b.test"},
		variant{"the node of b.test, as a peer of a.test", link, 0},
		variant{"a user", bob, 0}, variant{"a bit of the signature flipped", flip(link, -1), 0},
		variant{"ended", link, pki.LinkLifetime + time.Second})
	list = append(list, vectors("peeruser", "der", base,
		map[string]string{"name": "bob@b.test", "public": hexed(w.bob.Public().Bytes())},
		variant{"bob, as a.test judges", bob, 0},
		variant{"a node", link, 0}, variant{"b.test signs for a.test", forged, 0},
		variant{"a user of a.test", w.annCert.DER(), 0})...)
	in := with(map[string]string{"authority": base["authority"], "cross": hexed(strange.DER())}, "der", variant{"", link, 0})
	return append(list, vector{Kind: "peer", Comment: "a cross-certificate by c.test", Expect: "refuse", In: in}), nil
}

// descriptors of a.test, without a key log and with one.
func (w *world) descriptors() ([]vector, error) {
	d := pki.Descriptor{
		Serial: 7, Issued: now(), Expires: now().Add(pki.DescriptorLifetime),
		Links: []string{"127.0.0.1:7001", "[2001:db8::1]:7001"}, KeyServers: []string{"keys.a.test:7002"},
	}
	for i := range 2 {
		key := pki.ServerKey{Period: pki.PeriodAt(now()) + pki.Period(i)}
		for j := range key.Public {
			key.Public[j] = byte(i + j)
		}
		d.ServerKeys = append(d.ServerKeys, key)
	}
	home, err := w.home.Commit(pki.Fingerprint{1}, pki.Fingerprint{2})
	if err != nil {
		return nil, err
	}
	signed, err := home.SignDescriptor(d)
	if err != nil {
		return nil, err
	}
	raw := signed.Raw()
	old := without(raw, 1)
	old[0] = 1
	bad := append(usual(raw), variant{"of another domain", flip(raw, 2), 0},
		variant{"version 1", seal(domainSeed(w.home), "server descriptor v1", old), 0},
		variant{"expired", raw, pki.DescriptorLifetime}, variant{"not begun", raw, -pki.ClockSkew - time.Second})
	list := vectors("descriptor", "raw", nil, w.toldOf(d), variant{"the descriptor of a.test", raw, 0}, bad...)
	more, err := w.logged(home, d)
	return append(list, more...), err
}

// toldOf is what a reader learns from a descriptor of a.test.
func (w *world) toldOf(d pki.Descriptor) map[string]string {
	next, root := pki.Fingerprint{1}, pki.Fingerprint{2}
	return map[string]string{
		"domain": "a.test", "serial": "7", "issued": unix(d.Issued), "expires": unix(d.Expires),
		"period": "2968", "serverkey": hexed(d.ServerKeys[0].Public[:]), "link": d.Links[0], "keyserver": d.KeyServers[0],
		"fingerprint": w.home.CA().Fingerprint().String(), "next": hexed(next[:]), "root": hexed(root[:]),
		"log": hexed(d.Log.Bytes()), "witness": hexed(d.Witness.Bytes()), "labels": hexed(d.Labels[:]),
	}
}

// logged are descriptors of a domain that keeps a key log.
func (w *world) logged(home *pki.Authority, d pki.Descriptor) ([]vector, error) {
	source := rand.NewChaCha8([32]byte([]byte("the logs of P3DO pki, v1        ")))
	log, err := pki.NewLogKey(source)
	if err != nil {
		return nil, err
	}
	witness, err := pki.NewWitnessKey(source)
	if err != nil {
		return nil, err
	}
	d.Log, d.Witness, d.Labels = log.Public(), witness.Public(), [pki.LabelsSize]byte{9}
	signed, err := home.SignDescriptor(d)
	if err != nil {
		return nil, err
	}
	raw := signed.Raw()
	at := bytes.Index(raw, d.Log.Bytes())
	again := func(comment string, change func(body []byte)) variant {
		body := bytes.Clone(raw[:len(raw)-pki.SignatureSize])
		change(body)
		return variant{comment, seal(domainSeed(w.home), "server descriptor v1", body), 0}
	}
	return vectors("descriptor", "raw", nil, w.toldOf(d), variant{"with a key log", raw, 0},
		again("version 2 with the keys of a log", func(b []byte) { b[0] = 2 }),
		again("version 4", func(b []byte) { b[0] = 4 }),
		again("version 3 without the keys of a log", func(b []byte) { clear(b[at : at+96]) }),
		again("the log's key is the witness's, too", func(b []byte) { copy(b[at+32:at+64], b[at:]) }),
		again("the log's key is that of the labels, too", func(b []byte) { copy(b[at+64:at+96], b[at:]) }),
		again("the log's key is the domain's, too", func(b []byte) { copy(b[at:at+32], w.home.CA().Key().Bytes()) }),
		again("without a key of the labels", func(b []byte) { clear(b[at+64 : at+96]) })), nil
}

// cards of ann.
func (w *world) cards() ([]vector, error) {
	c := pki.Card{
		Certificate: w.annCert, Serial: 3, Issued: now(), Expires: now().Add(pki.CardLifetime),
		Auth: [32]byte{1}, Requests: [32]byte{2}, Spools: []pki.Domain{w.home.Domain(), w.peer.Domain()},
	}
	for i := range c.Seal {
		c.Seal[i] = byte(i)
	}
	signed, err := pki.SignCard(w.ann, c)
	if err != nil {
		return nil, err
	}
	raw := signed.Raw()
	bad := append(usual(raw), variant{"expired", raw, pki.CardLifetime}, variant{"a bit of the seal flipped", flip(raw, -700), 0})
	base := map[string]string{"ca": hexed(w.home.CA().DER())}
	told := map[string]string{
		"name": "ann@a.test", "public": hexed(w.ann.Public().Bytes()), "serial": "3",
		"issued": unix(c.Issued), "expires": unix(c.Expires), "seal": hexed(c.Seal[:]), "auth": hexed(c.Auth[:]),
		"requests": hexed(c.Requests[:]), "spool": "a.test",
	}
	list := vectors("card", "raw", base, told, variant{"the card of ann", raw, 0}, bad...)
	in := with(map[string]string{"ca": hexed(w.peer.CA().DER())}, "raw", variant{"", raw, 0})
	list = append(list, vector{Kind: "card", Comment: "under another domain", Expect: "refuse", In: in})
	devices, err := w.deviceCards(c, base, told)
	return append(list, devices...), err
}
