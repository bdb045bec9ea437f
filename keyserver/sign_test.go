package keyserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/p3do/p3do/pki"
)

// signer signs what comes with the invitation "yes", and publishes it.
func signer(t testing.TB, w *world) Sign {
	return func(ctx context.Context, r SignRequest) ([]byte, error) {
		if _, _, err := net.SplitHostPort(r.From); err != nil {
			t.Errorf("from %q", r.From)
		}
		request, err := pki.ParseUserRequest(r.Request)
		if err != nil || string(r.Invite) != "yes" {
			return nil, ErrNotSigned
		}
		cert, err := w.authority.SignUser(rand.Reader, time.Now(), request, pki.UserLifetime)
		if err != nil {
			return nil, err
		}
		return cert.DER(), w.server.PublishCertificate(ctx, cert)
	}
}

// client speaks HTTPS and looks at no certificate.
func insecure(t testing.TB) *http.Client {
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 16, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func signBody(invite string, request []byte) []byte {
	return append(append([]byte{byte(len(invite))}, invite...), request...)
}

func TestSign(t *testing.T) {
	var w *world
	w = newWorld(t, "a.test", func(c *Config) {
		c.Sign = func(ctx context.Context, r SignRequest) ([]byte, error) { return signer(t, w)(ctx, r) }
	})
	key, err := pki.NewIdentityKey(rand.Reader)
	must(t, err)
	request, err := pki.NewUserRequest(rand.Reader, key, name(t, "ann@a.test"))
	must(t, err)
	long := bytes.Repeat([]byte{1}, MaxInvite+1)
	for _, test := range []struct {
		what   string
		body   []byte
		status int
	}{
		{"a request", signBody("yes", request.DER()), 200},
		{"the same again", signBody("yes", request.DER()), 200},
		{"another invitation", signBody("no", request.DER()), 403},
		{"no invitation", signBody("", request.DER()), 403},
		{"no request", signBody("yes", nil), 404},
		{"nothing", nil, 404},
		{"an invitation that is longer than the body", []byte{200, 1}, 404},
		{"an invitation that is too long", signBody(string(long), request.DER()), 404},
		{"the longest", signBody("yes", make([]byte, maxSign-4)), 403},
		{"a byte more", signBody("yes", make([]byte, maxSign-3)), 404},
	} {
		t.Run(test.what, func(t *testing.T) {
			status, body := post(t, w, bytes.NewReader(test.body))
			if status != test.status {
				t.Fatalf("status %d, want %d", status, test.status)
			}
			if status != 200 {
				return
			}
			cert, err := w.authority.CA().VerifyUser(body, time.Now())
			must(t, err)
			if cert.Key() != key.Public() {
				t.Error("another key was signed")
			}
			u, err := w.store.User(t.Context(), "ann@a.test")
			must(t, err)
			if !bytes.Equal(u.Certificate, body) {
				t.Error("it was handed out before it was kept")
			}
		})
	}
	// Of a body whose length is not told nothing is read.
	if status, _ := post(t, w, io.MultiReader(bytes.NewReader(signBody("yes", request.DER())))); status != 404 {
		t.Errorf("chunked: %d", status)
	}
}

func post(t testing.TB, w *world, body io.Reader) (status int, answer []byte) {
	t.Helper()
	resp, err := insecure(t).Post("https://"+w.endpoint.Address+"/v1/sign", "application/octet-stream", body)
	must(t, err)
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, answer
}

// What cannot be done now is no refusal, and a server that signs nothing has no such target.
func TestSignFails(t *testing.T) {
	w := newWorld(t, "a.test", func(c *Config) {
		c.Sign = func(context.Context, SignRequest) ([]byte, error) { return nil, errors.New("disk full") }
	})
	if status, body := post(t, w, bytes.NewReader(signBody("", []byte{1}))); status != 503 || string(body) != "Service Unavailable\n" {
		t.Errorf("%d %q", status, body)
	}
	w = newWorld(t, "a.test", nil)
	if status, body := post(t, w, bytes.NewReader(signBody("", []byte{1}))); status != 404 || string(body) != "Not Found\n" {
		t.Errorf("%d %q", status, body)
	}
}
