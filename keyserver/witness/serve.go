package witness

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

// AddCheckpoint is the target of a request to cosign, and the type of the answer with a size.
const (
	AddCheckpoint = "/v1/witness/add-checkpoint"

	typeSize = "text/x.tlog.size"
	typeText = "text/plain; charset=utf-8"
)

// Mirror is the prefix of the copy of a domain's log, with a slash at its end.
func Mirror(domain pki.Domain) string { return mirrors + domain.String() + "/" }

const mirrors = "/v1/mirror/"

// Serves reports whether a request is for a Door.
func Serves(method, target string) bool {
	return method == http.MethodPost && target == AddCheckpoint ||
		method == http.MethodGet && strings.HasPrefix(target, mirrors)
}

// A Door is what a witness shows to the world over HTTP: the caller has limited the rate of each
// client, and the time that a body may take.
type Door struct {
	Witness *Witness
	Store   *store.Store
}

// ServeHTTP implements http.Handler.
func (d Door) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		d.Witness.ServeHTTP(out, r)
		return
	}
	d.serveMirror(out, r)
}

// ServeHTTP answers POST add-checkpoint: 200 with signature lines, 400, 403, 404, 409 with the
// size, 422; 503 if the store fails.
func (w *Witness) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(out, r.Body, int64(MaxRequest)))
	if err != nil {
		say(out, http.StatusBadRequest, typeText, ErrMalformed.Error()+"\n")
		return
	}
	lines, err := w.Add(r.Context(), body)
	var conflict *ConflictError
	switch {
	case err == nil:
		say(out, http.StatusOK, typeText, string(lines))
	case errors.As(err, &conflict):
		say(out, http.StatusConflict, typeSize, strconv.FormatInt(conflict.Size, 10)+"\n")
	default:
		say(out, statusOf(err), typeText, http.StatusText(statusOf(err))+"\n")
	}
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, ErrMalformed):
		return http.StatusBadRequest
	case errors.Is(err, ErrUnknownLog):
		return http.StatusNotFound
	case errors.Is(err, ErrSignature):
		return http.StatusForbidden
	case errors.Is(err, ErrProof):
		return http.StatusUnprocessableEntity
	}
	return http.StatusServiceUnavailable
}

// SetLater says when to ask again, of an answer that says that there is too much to do (RFC 9110, section 10.2.3): a
// client's rate has room for one more in a second, and a disk may take longer.
func SetLater(h http.Header, status int) {
	switch status {
	case http.StatusTooManyRequests:
		h.Set("Retry-After", "1")
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "5")
	}
}

func say(out http.ResponseWriter, status int, contentType, body string) {
	h := out.Header()
	SetLater(h, status)
	h["Date"] = nil
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	out.WriteHeader(status)
	_, _ = io.WriteString(out, body) // the client is gone: nobody to tell
}
