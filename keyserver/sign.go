package keyserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/p3do/p3do/pki"
)

// MaxInvite is the greatest length of an invitation in a request to sign, in bytes.
const MaxInvite = 64

// A SignRequest is what somebody hands in at /v1/sign: 1 byte of length and an invitation
// of 0 to MaxInvite bytes, then a certificate request (PKCS #10 in DER) to the end, of at
// most pki.MaxCertificateSize.
type SignRequest struct {
	From    string // address of the client, "host:port"
	Invite  []byte // empty: none
	Request []byte
}

// ErrNotSigned is wrapped by what Config.Sign returns for a request that it refuses, by its
// name, key or invitation: the client is answered 403, whatever the reason is.
var ErrNotSigned = errors.New("keyserver: not signed")

// signTarget is the one target that is posted to.
const signTarget = "/v1/sign"

const maxSign = 1 + MaxInvite + pki.MaxCertificateSize

// sign answers a POST: 200 with the certificate in DER, which is in key ring and key server
// by then; 403 if it is refused; 404 for what is no such request; 503 if it cannot be done now.
func (s *Server) sign(w http.ResponseWriter, r *http.Request) {
	body, ok := readSign(r)
	if !ok {
		refuse(w, r, http.StatusNotFound)
		return
	}
	body.From = r.RemoteAddr
	certificate, err := s.config.Sign(r.Context(), body)
	switch {
	case err == nil:
		setHeader(w, typeCertificate)
		w.Header().Set("Content-Length", strconv.Itoa(len(certificate)))
		_, _ = w.Write(certificate) // the client is gone: it may ask again
	case errors.Is(err, ErrNotSigned):
		refuse(w, r, http.StatusForbidden)
	default:
		refuse(w, r, http.StatusServiceUnavailable)
	}
}

// readSign reads a request whose length is told beforehand and within bounds.
func readSign(r *http.Request) (request SignRequest, ok bool) {
	if r.ContentLength < 2 || r.ContentLength > int64(maxSign) {
		return request, false
	}
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return request, false
	}
	invite, rest := int(body[0]), body[1:]
	if invite > MaxInvite || invite >= len(rest) {
		return request, false
	}
	return SignRequest{Invite: rest[:invite], Request: rest[invite:]}, true
}

// A Sign function signs the key in a request, or says why not: see [ErrNotSigned].
type Sign func(context.Context, SignRequest) (certificate []byte, err error)
