package keyserver

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/golden"
	"github.com/p3do/p3do/pki"
)

// fixed is a.test, made from a seed, and the neighbours whose descriptors it has.
type fixed struct {
	rand     *rand.ChaCha8
	now      time.Time
	home     *pki.Authority
	namesake *pki.Authority // another a.test
	card     pki.SignedCard // of ann
	ann      pki.IdentityKey
	bob      pki.UserCert // certified, without a card
	link     pki.LinkCert
	linkKey  pki.LinkKey
	cross    pki.CrossCert          // over b.test
	servers  []pki.SignedDescriptor // of a.test, b.test and c.test
}

func newFixed(t *testing.T) *fixed {
	t.Helper()
	f := &fixed{rand: rand.NewChaCha8([32]byte([]byte("the vectors of P3DO keyserver, 1"))), now: time.Unix(1795334400, 0).UTC()}
	f.home = f.authority(t, "a.test")
	peer := f.authority(t, "b.test")
	var err error
	f.ann, err = pki.NewIdentityKey(f.rand)
	must(t, err)
	f.card, err = pki.SignCard(f.ann, pki.Card{
		Certificate: f.user(t, f.ann, "ann@a.test"), Serial: 1, Issued: f.now, Expires: f.now.Add(pki.CardLifetime),
		Spools: []pki.Domain{f.home.Domain()},
	})
	must(t, err)
	bob, err := pki.NewIdentityKey(f.rand)
	must(t, err)
	f.bob = f.user(t, bob, "bob@a.test")
	f.linkKey, err = pki.NewLinkKey(f.rand)
	must(t, err)
	f.link, err = f.home.SignLink(f.rand, f.now, f.linkKey.Public(), pki.LinkLifetime)
	must(t, err)
	f.cross, err = f.home.Countersign(f.rand, f.now, peer.CA())
	must(t, err)
	for _, a := range []*pki.Authority{f.home, peer, f.authority(t, "c.test")} {
		f.servers = append(f.servers, f.descriptor(t, a))
	}
	f.namesake = f.authority(t, "a.test")
	return f
}

func (f *fixed) authority(t *testing.T, text string) *pki.Authority {
	t.Helper()
	a, err := pki.NewAuthority(f.rand, domain(t, text), f.now)
	must(t, err)
	return a
}

func (f *fixed) user(t *testing.T, key pki.IdentityKey, text string) pki.UserCert {
	t.Helper()
	request, err := pki.NewUserRequest(f.rand, key, name(t, text))
	must(t, err)
	cert, err := f.home.SignUser(f.rand, f.now, request, pki.UserLifetime)
	must(t, err)
	return cert
}

func (f *fixed) descriptor(t *testing.T, a *pki.Authority) pki.SignedDescriptor {
	t.Helper()
	d, err := a.SignDescriptor(pki.Descriptor{
		Serial: 1, Issued: f.now, Expires: f.now.Add(pki.DescriptorLifetime),
		ServerKeys: []pki.ServerKey{{Period: pki.PeriodAt(f.now)}},
		Links:      []string{"127.0.0.1:7001"}, KeyServers: []string{"127.0.0.1:7002"},
	})
	must(t, err)
	return d
}

func (f *fixed) file(t *testing.T) vectorFile {
	t.Helper()
	file := vectorFile{About: "Made by P3DO_REWRITE=1 go test ./keyserver -run Vectors. The specification is docs/spec/keyserver.md."}
	for _, p := range []struct {
		what  string
		bytes []byte
	}{
		{"certificate of the authority of a.test", f.home.CA().DER()},
		{"card of ann@a.test", f.card.Raw()}, {"certificate of bob@a.test, who has no card", f.bob.DER()},
		{"link certificate of a.test", f.link.DER()}, {"cross-certificate of a.test over b.test", f.cross.DER()},
		{"descriptor of a.test", f.servers[0].Raw()}, {"descriptor of b.test", f.servers[1].Raw()},
		{"descriptor of c.test", f.servers[2].Raw()},
	} {
		file.Published = append(file.Published, published{p.what, p.bytes})
	}
	file.Vectors = slices.Concat(f.targets(), f.lookups(), f.descriptors(t), f.pages(t), f.badPages(t))
	return file
}

// targets are what may be asked for, and what looks like it.
func (f *fixed) targets() (list []vector) {
	accept := func(comment, asks, target, of string) {
		list = append(list, vector{
			Kind: "target", Comment: comment, Expect: "accept", In: input{Target: target + of}, Out: output{Asks: asks, Of: of},
		})
	}
	longest := strings.Repeat("l", 64) + "@" + longestDomain()
	accept("a user", "user", "/v1/user/", "ann@a.test")
	accept("the longest of all targets", "user", "/v1/user/", longest)
	accept("a key", "key", "/v1/key/", f.ann.Fingerprint().String())
	accept("a server", "server", "/v1/server/", "a.test")
	accept("the first page of servers", "servers", "/v1/servers", "")
	accept("the page after a domain", "servers", "/v1/servers/", "a.test")
	accept("the page after the longest domain", "servers", "/v1/servers/", longestDomain())
	fp := f.ann.Fingerprint().String()
	for _, bad := range [][2]string{
		{"nothing", ""}, {"the root", "/"}, {"a star", "*"}, {"no subject", "/v1/"}, {"no subject and no slash", "/v1"},
		{"a user without a name", "/v1/user/"}, {"users", "/v1/users"}, {"a list of users", "/v1/user"},
		{"a prefix of a name", "/v1/user/ann"}, {"all users of a domain", "/v1/user/@a.test"},
		{"a pattern", "/v1/user/*@a.test"}, {"a name in upper case", "/v1/user/Ann@a.test"},
		{"a percent-escape", "/v1/user/%61nn@a.test"}, {"an escaped at sign", "/v1/user/ann%40a.test"},
		{"a slash behind it", "/v1/user/ann@a.test/"}, {"a query string", "/v1/user/ann@a.test?x"},
		{"an empty query string", "/v1/user/ann@a.test?"}, {"a fragment", "/v1/user/ann@a.test#"},
		{"a key one character short", "/v1/key/" + fp[1:]}, {"a key with padding", "/v1/key/" + fp + "="},
		{"a key that is not canonical", "/v1/key/" + strings.Repeat("A", 42) + "B"},
		{"a server without a domain", "/v1/server/"}, {"servers with a slash and no domain", "/v1/servers/"},
		{"a server by address", "/v1/server/127.0.0.1"}, {"a context", "/v1/context/AAECAwQFBgcICQoLDA0ODw"},
		{"two slashes", "//v1/servers"}, {"two slashes inside", "/v1//servers"}, {"dots to resolve", "/v1/../v1/servers"},
		{"a dot to resolve", "/v1/./servers"}, {"another version", "/v2/servers"}, {"the path in upper case", "/V1/servers"},
		{"a host in front", "https://a.test/v1/servers"}, {"a space behind it", "/v1/servers "},
		{"one byte longer than the longest", "/v1/user/l" + longest},
	} {
		list = append(list, vector{Kind: "target", Comment: bad[0], Expect: "refuse", In: input{Target: bad[1]}})
	}
	return list
}

// longestDomain has 253 bytes.
func longestDomain() string {
	label := strings.Repeat("d", 63)
	return label + "." + label + "." + label + "." + label[2:]
}

// pageOf is a page as the specification has it.
func pageOf(records ...[]byte) (page golden.Octets) {
	for _, r := range records {
		page = append(append(page, byte(len(r)>>8), byte(len(r))), r...)
	}
	return page
}

// lookups are requests to the server that has what is published, at the time of the seed.
func (f *fixed) lookups() (list []vector) {
	add := func(comment, request string, status int, mediaType string, body []byte) {
		o := golden.Octets(bytes.Clone(body))
		v := vector{
			Kind: "lookup", Comment: comment, Expect: "accept", In: input{Request: request}, Out: output{Status: status, Type: mediaType, Body: &o},
		}
		if status != 200 {
			v.Expect = "refuse"
		}
		list = append(list, v)
	}
	a, b, c := f.servers[0].Raw(), f.servers[1].Raw(), f.servers[2].Raw()
	for _, good := range []struct {
		comment, target, mediaType string
		body                       []byte
	}{
		{"a user", "/v1/user/ann@a.test", "application/octet-stream", f.card.Raw()},
		{"her key", "/v1/key/" + f.ann.Fingerprint().String(), "application/octet-stream", f.card.Raw()},
		{"the key of a link", "/v1/key/" + f.linkKey.Public().Fingerprint().String(), "application/pkix-cert", f.link.DER()},
		{"the own server", "/v1/server/a.test", "application/octet-stream", a},
		{"another server", "/v1/server/b.test", "application/octet-stream", b},
		{"all servers", "/v1/servers", "application/octet-stream", pageOf(a, b, c)},
		{"those after a known domain", "/v1/servers/a.test", "application/octet-stream", pageOf(b, c)},
		{"those after a domain that is not known", "/v1/servers/b.aa", "application/octet-stream", pageOf(b, c)},
		{"those after the last: the end", "/v1/servers/c.test", "application/octet-stream", nil},
	} {
		add(good.comment, request("GET", good.target, ""), 200, good.mediaType, good.body)
	}
	for _, miss := range [][2]string{
		{"a user who is not there", request("GET", "/v1/user/nobody@a.test", "")},
		{"a user without a card", request("GET", "/v1/user/bob@a.test", "")},
		{"a user of another domain of whom there is no copy", request("GET", "/v1/user/eve@b.test", "")},
		{"a key that is not there", request("GET", "/v1/key/"+strings.Repeat("A", 43), "")},
		{"the key of a peer, which is countersigned", request("GET", "/v1/key/"+f.cross.Fingerprint().String(), "")},
		{"the key of the authority", request("GET", "/v1/key/"+f.home.CA().Fingerprint().String(), "")},
		{"a server that is not there", request("GET", "/v1/server/d.test", "")},
		{"another spelling", request("GET", "/v1/user/%61nn@a.test", "")},
		{"another method", request("POST", "/v1/user/ann@a.test", "Content-Length: 0\r\n")},
		{"a body", request("GET", "/v1/user/ann@a.test", "Content-Length: 1\r\n") + "x"},
		{"a body in chunks", request("GET", "/v1/user/ann@a.test", "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n"},
	} {
		add(miss[0], miss[1], 404, "text/plain; charset=utf-8", []byte("Not Found\n"))
	}
	return list
}

// descriptors are answers to who asks a.test for one.
func (f *fixed) descriptors(t *testing.T) (list []vector) {
	add := func(comment, reason, of string, record []byte) {
		v := vector{
			Kind: "descriptor", Comment: comment, Expect: "accept", Reason: reason,
			In: input{CA: f.home.CA().DER(), Domain: of, Record: append(golden.Octets{}, record...)},
		}
		if reason != "" {
			v.Expect = "refuse"
		}
		list = append(list, v)
	}
	a, b := f.servers[0].Raw(), f.servers[1].Raw()
	add("its own", "", "a.test", a)
	add("another's: the caller holds its authority against a pin", "", "b.test", b)
	add("another's than was asked for", "bad answer", "a.test", b)
	add("its own, by another authority", "changed key", "a.test", f.descriptor(t, f.namesake).Raw())
	add("a bit of the signature flipped", "bad answer", "a.test", bent(a))
	add("the last byte missing", "bad answer", "a.test", a[:len(a)-1])
	add("a byte too many", "bad answer", "a.test", append(bytes.Clone(a), 0))
	add("nothing", "bad answer", "a.test", nil)
	return list
}

// bent is b with the last bit flipped.
func bent(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)-1] ^= 1
	return b
}

func (f *fixed) pages(t *testing.T) (list []vector) {
	a, b, c := f.servers[0].Raw(), f.servers[1].Raw(), f.servers[2].Raw()
	add := func(comment, after string, domains []string, pages ...golden.Octets) {
		list = append(list, vector{
			Kind: "pages", Comment: comment, Expect: "accept",
			In: input{CA: f.home.CA().DER(), After: after, Pages: pages}, Out: output{Domains: domains},
		})
	}
	none := golden.Octets{}
	add("no servers", "", nil, none)
	add("one page, and the end", "", []string{"a.test", "b.test", "c.test"}, pageOf(a, b, c), none)
	add("pages that are shorter than they could be", "", []string{"a.test", "b.test", "c.test"}, pageOf(a), pageOf(b, c), none)
	add("from the middle", "a.test", []string{"b.test", "c.test"}, pageOf(b, c), none)
	return list
}

// badPages: the last page of each row is refused.
func (f *fixed) badPages(t *testing.T) (list []vector) {
	a, b, c := f.servers[0].Raw(), f.servers[1].Raw(), f.servers[2].Raw()
	add := func(comment, reason string, pages ...golden.Octets) {
		list = append(list, vector{
			Kind: "pages", Comment: comment, Expect: "refuse", Reason: reason, In: input{CA: f.home.CA().DER(), Pages: pages},
		})
	}
	whole := pageOf(a, b, c)
	add("the same page again: it would never end", "bad answer", whole, whole)
	add("the second page begins with the last of the first", "bad answer", pageOf(a, b), pageOf(b, c))
	add("the second page goes back", "bad answer", pageOf(b), pageOf(a))
	add("a domain twice in a page", "bad answer", pageOf(a, a))
	add("out of order", "bad answer", pageOf(b, a))
	add("cut in a descriptor", "bad answer", whole[:len(whole)-1])
	add("cut in a length", "bad answer", pageOf(a)[:1])
	add("cut behind a length", "bad answer", append(pageOf(a), 0, 1))
	add("an entry of no bytes", "bad answer", append(pageOf(a), 0, 0))
	add("a length one too small", "bad answer", append(golden.Octets{byte((len(a) - 1) >> 8), byte(len(a) - 1)}, a...))
	add("a bit of a signature flipped", "bad answer", pageOf(a, bent(b)))
	add("a card among them", "bad answer", pageOf(a, f.card.Raw()))
	add("the server's own, by another authority", "changed key", pageOf(f.descriptor(t, f.namesake).Raw(), b))
	return list
}

// A page of 257 servers would make the file four times as long.
func TestPageOfTooMany(t *testing.T) {
	f := newFixed(t)
	var records [][]byte
	for i := range PageServers + 1 {
		a := f.authority(t, "n"+hex.EncodeToString([]byte{byte(i >> 8), byte(i)})+".test")
		records = append(records, f.descriptor(t, a).Raw())
	}
	if all, err := decodePage(pageOf(records[1:]...), pki.Domain{}); err != nil || len(all) != PageServers {
		t.Errorf("%d servers: %v", len(all), err)
	}
	if all, err := decodePage(pageOf(records...), pki.Domain{}); err == nil {
		t.Errorf("%d servers", len(all))
	}
}
