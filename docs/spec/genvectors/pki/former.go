package main

import (
	"fmt"

	"github.com/p3do/p3do/pki"
)

// formerRevocations are of ann@a.test, whose domain has another authority by now.
func (w *world) formerRevocations() ([]vector, error) {
	k, err := w.kept()
	if err != nil {
		return nil, err
	}
	heir, word, err := k.successor.Succeed(w.rand, now(), w.home, pki.Fingerprint{})
	if err != nil {
		return nil, err
	}
	_, byRoot, err := k.successor.SucceedByRoot(w.rand, now(), w.home.Commitment(), pki.Fingerprint{}, k.offline)
	if err != nil {
		return nil, err
	}
	der := w.annCert.DER()
	var list []vector
	for _, c := range []struct {
		comment string
		word    []byte
		good    bool
		sign    func() (pki.Revocation, error)
	}{
		{"an authority that handed over ends a name", word.Raw(), true, func() (pki.Revocation, error) { return w.home.RevokeName(der, now()) }},
		{"one that the root put away does", byRoot.Raw(), false, func() (pki.Revocation, error) { return w.home.RevokeName(der, now()) }},
		{"the one that the root named does", byRoot.Raw(), true, func() (pki.Revocation, error) { return heir.RevokeName(der, now()) }},
		{"ann ends a key that was certified by one that the root put away", byRoot.Raw(), true, func() (pki.Revocation, error) { return w.ann.RevokeKey(der, now()) }},
	} {
		r, err := c.sign()
		if err != nil {
			return nil, err
		}
		root, signer := k.offline.Fingerprint(), r.Signer()
		base := map[string]string{
			"ca": hexed(heir.CA().DER()), "root": hexed(root[:]), "former": hexed(w.home.CA().DER()), "succession": hexed(c.word),
		}
		v := variant{c.comment, r.Raw(), 0}
		if !c.good {
			list = append(list, vector{Kind: "revocation", Comment: v.comment, Expect: "refuse", In: with(base, "raw", v)})
			continue
		}
		list = append(list, vectors("revocation", "raw", base, map[string]string{
			"name": "ann@a.test", "public": hexed(w.ann.Public().Bytes()), "scope": fmt.Sprint(r.Scope), "issued": unix(now()), "signer": hexed(signer[:]),
		}, v)...)
	}
	return list, nil
}
