package session

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/p3do/p3do/pki"
)

// Statements come in pages, whole and in order, and say where to go on.
func TestStatements(t *testing.T) {
	h := newHome(t)
	for i := range 7 {
		h.statements = append(h.statements, []byte{byte(i)})
	}
	_, c := h.ann(t)
	var got []byte
	for since, more := int64(0), true; more; {
		page, err := c.Statements(t.Context(), since)
		check(t, err)
		got, since, more = append(got, bytes.Join(page.Statements, nil)...), page.Last, page.More
	}
	if !bytes.Equal(got, []byte{0, 1, 2, 3, 4, 5, 6}) {
		t.Errorf("statements %v", got)
	}
	page, err := c.Statements(t.Context(), 7)
	check(t, err)
	if len(page.Statements) > 0 || page.Last != 7 || page.More {
		t.Errorf("after the last: %+v", page)
	}
}

// Anybody may hand in a revocation, who has logged in or not; it comes whole, and an answer that
// is no is told.
func TestRevoke(t *testing.T) {
	h := newHome(t)
	_, ann := h.ann(t)
	for i, c := range []*Client{h.client(t), ann} {
		check(t, c.Revoke(t.Context(), bytes.Repeat([]byte{byte(i)}, pki.MaxRevocationSize)))
		wantCode(t, c.Revoke(t.Context(), nil), Refused, "does not hold")
		wantCode(t, c.Revoke(t.Context(), make([]byte, pki.MaxRevocationSize+1)), BadRequest, "a revocation of 4097 bytes, at most 4096")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.revoked) != 2 || !bytes.Equal(h.revoked[1], bytes.Repeat([]byte{1}, pki.MaxRevocationSize)) {
		t.Errorf("%d came", len(h.revoked))
	}
}

// The same of a move.
func TestMove(t *testing.T) {
	h := newHome(t)
	_, ann := h.ann(t)
	for i, c := range []*Client{h.client(t), ann} {
		check(t, c.Move(t.Context(), bytes.Repeat([]byte{byte(i)}, pki.MaxMoveSize)))
		wantCode(t, c.Move(t.Context(), nil), Refused, "does not hold")
		wantCode(t, c.Move(t.Context(), make([]byte, pki.MaxMoveSize+1)), BadRequest, "a move of 8193 bytes, at most 8192")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.revoked) != 2 || !bytes.Equal(h.revoked[1], bytes.Repeat([]byte{1}, pki.MaxMoveSize)) {
		t.Errorf("%d came", len(h.revoked))
	}
}

// What no honest node says to who asks for statements after 5, or who logs in, is refused.
func TestAnswersOutOfBounds(t *testing.T) {
	one := [][]byte{{1}}
	for what, s := range map[string]Stated{
		"the same number": {one, 5, false}, "a number below zero": {one, -1, false}, "more of nothing": {nil, 6, true},
		"nothing, and a number below zero": {nil, -1, false}, "one too many": {make([][]byte, MaxStatements+1), 99, false},
		"too long": {[][]byte{make([]byte, MaxStatementBytes), {1}}, 7, false},
	} {
		if s.follows(5) {
			t.Errorf("%s: taken", what)
		}
	}
	if !(Stated{one, 6, true}).follows(5) || !(Stated{nil, 5, false}).follows(5) || !(Stated{nil, 9, false}).follows(5) || !(Stated{one, 1, false}).follows(5) {
		t.Error("good pages are refused")
	}
	domain := must(pki.ParseDomain("a.test"))
	for what, w := range map[string]HomeView{
		"an unknown path": {Domain: domain, Path: "luck"}, "no domain": {Path: PathDNS},
		"too many domains": {Domain: domain, Path: PathDNS, Confirmed: make([]pki.Domain, MaxConfirmed+1)},
	} {
		if (Welcome{Domain: domain, Home: w}).valid() {
			t.Errorf("%s: taken", what)
		}
	}
}

// An invitation and the certificate of the home's authority reach the desk, and what it says of
// the home comes back.
func TestVisitor(t *testing.T) {
	h := newHome(t)
	ann, c := newPerson("ann@a.test"), h.client(t)
	request := must(pki.NewUserRequest(rand.Reader, ann.key, ann.name)).DER()
	_, err := c.Register(t.Context(), request, []byte("let me in"))
	wantCode(t, err, Refused, "nobody is invited so")
	ann.cert, err = c.Register(t.Context(), request, []byte("welcome"))
	check(t, err)
	_, err = c.Login(t.Context(), ann.name, ann.cert, ann.key, make([]byte, pki.MaxCertificateSize+1))
	wantCode(t, err, BadRequest, "an authority of")
	welcome, err := c.Login(t.Context(), ann.name, ann.cert, ann.key, h.authority.CA().DER())
	check(t, err)
	if w := welcome.Home; w.Path != PathDNS || w.Online || len(w.Confirmed) != 1 || w.Confirmed[0].String() != "b.test" {
		t.Errorf("welcome %+v", welcome)
	}
}
