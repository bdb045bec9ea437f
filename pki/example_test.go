package pki_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/p3do/p3do/pki"
)

func ExampleParseName() {
	name, err := pki.ParseName("ann@a.test")
	fmt.Println(name.Local(), name.Domain(), err)
	_, err = pki.ParseName("Ann@a.test")
	fmt.Println(err)
	// Output:
	// ann a.test <nil>
	// pki: name "Ann@a.test": before the @ are 1 to 64 of a-z, 0-9, dot, _ and -, with no dot at its ends and no two dots in a row
}

// A domain certifies a user, and whoever knows the domain's key judges it.
func ExampleAuthority_SignUser() {
	now := time.Now()
	domain, _ := pki.ParseDomain("a.test")
	authority, err := pki.NewAuthority(rand.Reader, domain, now)
	if err != nil {
		fmt.Println(err)
		return
	}

	// On ann's machine.
	name, _ := pki.ParseName("ann@a.test")
	key, _ := pki.NewIdentityKey(rand.Reader)
	request, _ := pki.NewUserRequest(rand.Reader, key, name)

	// At her home, which has checked that the name is hers.
	asked, _ := pki.ParseUserRequest(request.DER())
	certificate, _ := authority.SignUser(rand.Reader, now, asked, pki.UserLifetime)

	// Anywhere.
	user, err := authority.CA().VerifyUser(certificate.DER(), now)
	fmt.Println(user.Name(), user.Key() == key.Public(), err)
	// Output: ann@a.test true <nil>
}

// Two domains federate: each countersigns the other, and then knows its users
// although their home is gone.
func ExampleAuthority_Countersign() {
	now := time.Now()
	a, _ := pki.ParseDomain("a.test")
	b, _ := pki.ParseDomain("b.test")
	home, _ := pki.NewAuthority(rand.Reader, a, now)
	peer, _ := pki.NewAuthority(rand.Reader, b, now)
	cross, err := home.Countersign(rand.Reader, now, peer.CA())
	if err != nil {
		fmt.Println(err)
		return
	}
	bob, _ := pki.ParseName("bob@b.test")
	key, _ := pki.NewIdentityKey(rand.Reader)
	request, _ := pki.NewUserRequest(rand.Reader, key, bob)
	certificate, _ := peer.SignUser(rand.Reader, now, request, pki.UserLifetime)

	user, err := home.VerifyPeerUser(cross, certificate.DER(), now)
	fmt.Println(user.Name(), err)
	_, err = home.SignUser(rand.Reader, now, request, pki.UserLifetime)
	fmt.Println(err)
	// Output:
	// bob@b.test <nil>
	// pki: signing a user: a.test may not sign for b.test
}

func ExampleCheckPin() {
	pinned, shown := pki.Fingerprint{1}, pki.Fingerprint{2}
	err := pki.CheckPin(pinned, shown, "a.test")
	var changed *pki.KeyChangedError
	fmt.Println(errors.As(err, &changed))
	fmt.Println(err)
	// Output:
	// true
	// pki: the key of a.test changed: pinned AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA, shown AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
}

func ExampleAuthority_SignDescriptor() {
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	domain, _ := pki.ParseDomain("a.test")
	authority, _ := pki.NewAuthority(rand.Reader, domain, now)
	signed, err := authority.SignDescriptor(pki.Descriptor{
		Serial:     uint64(now.Unix()),
		Issued:     now,
		Expires:    now.Add(pki.DescriptorLifetime),
		ServerKeys: []pki.ServerKey{{Period: pki.PeriodAt(now)}},
		Links:      []string{"node.a.test:7001"},
		KeyServers: []string{"keys.a.test:7002"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Anywhere: is it of the key that we have pinned, and still valid?
	d, _ := pki.ParseDescriptor(signed.Raw())
	fmt.Println(pki.CheckPin(authority.CA().Fingerprint(), d.CA.Fingerprint(), domain.String()), d.CheckTime(now))
	fmt.Println(d.Domain, d.Links, d.CheckTime(now.AddDate(0, 1, 0)))
	// Output:
	// <nil> <nil>
	// a.test [node.a.test:7001] pki: server descriptor of a.test: it ended at 2026-11-29T07:59:59Z: outside its time of validity
}

func ExampleIdentityKey_SignLogin() {
	name, _ := pki.ParseName("ann@a.test")
	key, _ := pki.NewIdentityKey(rand.Reader)
	// Both ends: connection.ExportKeyingMaterial(pki.ExporterLabel, nil, pki.ExporterSize)
	exporter := [pki.ExporterSize]byte{4, 2}
	proof := key.SignLogin(exporter, name)
	fmt.Println(key.Public().VerifyLogin(exporter, name, proof))
	fmt.Println(key.Public().VerifyLogin([pki.ExporterSize]byte{4, 3}, name, proof))
	// Output:
	// true
	// false
}

func ExamplePeriodAt() {
	period := pki.PeriodAt(time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC))
	fmt.Println(period, period.Start().Format(time.DateOnly), period.End().Format(time.DateOnly))
	// Output: 2968 2026-11-19 2026-11-26
}

// A secret is not shown, whatever prints it.
func ExampleIdentityKey() {
	key, _ := pki.NewIdentityKey(rand.Reader)
	fmt.Printf("%v %+v %x\n", key, key, key)
	// Output: secret secret secret
}

func ExampleSignCard() {
	now := time.Now()
	domain, _ := pki.ParseDomain("a.test")
	authority, _ := pki.NewAuthority(rand.Reader, domain, now)
	name, _ := pki.ParseName("ann@a.test")
	key, _ := pki.NewIdentityKey(rand.Reader)
	request, _ := pki.NewUserRequest(rand.Reader, key, name)
	certificate, _ := authority.SignUser(rand.Reader, now, request, pki.UserLifetime)
	signed, err := pki.SignCard(key, pki.Card{
		Certificate: certificate,
		Serial:      1,
		Issued:      now,
		Expires:     now.Add(pki.CardLifetime),
		Spools:      []pki.Domain{domain},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Whoever fetched it finds out whom to ask, and then asks.
	claimed, _ := pki.ParseCard(signed.Raw())
	card, err := authority.CA().VerifyCard(claimed.Raw(), now)
	fmt.Println(claimed.Name(), card.Spools, err)
	// Output: ann@a.test [a.test] <nil>
}

// A domain changes its key: the next one was made in advance, and lay elsewhere.
func ExampleSuccessor_Succeed() {
	now := time.Now()
	domain, _ := pki.ParseDomain("a.test")
	next, _ := pki.NewSuccessor(rand.Reader)
	first, _ := pki.NewAuthority(rand.Reader, domain, now)
	first, err := first.Commit(next.Fingerprint(), pki.Fingerprint{})
	if err != nil {
		fmt.Println(err)
		return
	}
	pinned := first.Commitment() // what others have of its descriptor

	// Its operator brings the key. The one after that is made, and taken away.
	afterThat, _ := pki.NewSuccessor(rand.Reader)
	second, said, _ := next.Succeed(rand.Reader, now, first, afterThat.Fingerprint())

	// Whoever has stolen the first key names an heir too.
	stolen, _ := pki.NewSuccessor(rand.Reader)
	_, theft, _ := stolen.Succeed(rand.Reader, now, first, pki.Fingerprint{})

	// Anywhere.
	heard, err := pki.ParseSuccession(said.Raw())
	heirs := pinned.Heirs([]pki.SignedSuccession{theft, heard})
	fmt.Println(len(heirs), heirs[0] == second.Commitment(), err)
	// Output: 1 true <nil>
}

// Ann has lost her key. The revocation key, which she keeps elsewhere, ends it, with her
// home gone.
func ExampleRevocationKey_RevokeKey() {
	now := time.Now()
	domain, _ := pki.ParseDomain("a.test")
	home, _ := pki.NewAuthority(rand.Reader, domain, now)
	name, _ := pki.ParseName("ann@a.test")
	key, _ := pki.NewIdentityKey(rand.Reader)
	request, _ := pki.NewUserRequest(rand.Reader, key, name)
	certificate, _ := home.SignUser(rand.Reader, now, request, pki.UserLifetime)

	revoker, _ := pki.NewRevocationKey(rand.Reader)
	binding := key.BindRevoker(revoker.Public()) // kept with revoker

	revocation, err := revoker.RevokeKey(certificate.DER(), binding, now)
	if err != nil {
		fmt.Println(err)
		return
	}
	heard, _ := pki.ParseRevocation(revocation.Raw())
	err = heard.Check(pki.Known{CA: home.CA()})
	fmt.Println(heard.Name(), heard.Revokes(certificate), err)
	// Output: ann@a.test true <nil>
}

// Ann leaves a.test for c.test. Who has pinned her key finds her there, though a.test is gone.
func ExampleFollow() {
	now := time.Now()
	key, _ := pki.NewIdentityKey(rand.Reader)
	var names []pki.Name
	var homes []pki.CACert
	var certificates []pki.UserCert
	for _, text := range []string{"ann@a.test", "ann@c.test"} {
		name, _ := pki.ParseName(text)
		home, _ := pki.NewAuthority(rand.Reader, name.Domain(), now)
		request, _ := pki.NewUserRequest(rand.Reader, key, name)
		certificate, _ := home.SignUser(rand.Reader, now, request, pki.UserLifetime)
		names, homes, certificates = append(names, name), append(homes, home.CA()), append(certificates, certificate)
	}
	move, err := key.SignMove(certificates[0].DER(), certificates[1].DER(), uint64(now.UnixMilli()), now)
	if err != nil {
		fmt.Println(err)
		return
	}
	heard, _ := pki.ParseMove(move.Raw())
	err = heard.Check(pki.Known{CA: homes[0]}, pki.Known{CA: homes[1]})
	for _, step := range pki.Follow(names[0], key.Public(), []pki.Move{heard}) {
		fmt.Println(step.From(), "is now", step.To(), err)
	}
	// Output: ann@a.test is now ann@c.test <nil>
}
