package keyserver

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// Config is what a Server is made of.
type Config struct {
	Store *store.Store
	CA    pki.CACert // of the own domain: whose cards may be published

	// Fetch gets the card of a foreign user from her home and verifies it. An
	// error, whatever it says, means that there is none to be had now. Nil: no
	// foreign look-ups; copies on hand are served.
	Fetch func(context.Context, pki.Name) (pki.SignedCard, error)

	// Copied finds the card of another domain's user among the copies that this domain gave us, and verifies it,
	// its place in that domain's log, and that it is the newest as far as our copy of the log goes. What is not
	// there, or does not hold, is store.ErrNotFound. Nil: there are none.
	Copied func(context.Context, Subject) (Copied, error)

	// Sign signs the keys that are handed in. Nil: none are, and nothing is written.
	Sign Sign

	// Revoked tells whether a name, or an identity key, has ended: the card is not there then,
	// whoever published it or had a copy. Nil: none has.
	Revoked func(pki.Name, pki.Fingerprint) bool

	// Witness cosigns the key logs of others, and serves copies of them. Nil: none are.
	Witness http.Handler

	// Log commits to what is published. Nil: there is no log, and no look-up with proof.
	Log *Log

	// Rate is how many requests per second one client (an IPv4 address, an
	// IPv6 /64) may make in the long run, and Burst how many at once. Zero:
	// DefaultRate and DefaultBurst.
	Rate  float64
	Burst int

	// Now tells the time. Nil: time.Now.
	Now func() time.Time
}

const (
	DefaultRate  = 20  // requests per second and client
	DefaultBurst = 200 // requests at once: a page each of 51 200 servers

	// copierRate times as many as these may be requests for logs and cosignatures: a tile is cheap,
	// and a log of 10 000 leaves has 80.
	copierRate = 5

	// CacheFresh is how old a copy may be to be served without asking its home.
	CacheFresh = 5 * time.Minute

	// FetchTimeout bounds one look-up at a foreign home, and MaxFetches how
	// many are under way at once. Over it the copy on hand is served, else the
	// answer is 503.
	FetchTimeout = 10 * time.Second
	MaxFetches   = 64
)

// Server answers look-ups. It is an http.Handler; Serve runs it over TLS with
// all limits. Its methods may be called concurrently.
type Server struct {
	config   Config // but for its CA
	line     atomic.Pointer[[]pki.CACert]
	clients  *Clients
	copiers  *Clients           // the same clients, who ask for logs and cosignatures
	fetching singleflight.Group // by name: one look-up serves all who ask
	slots    chan struct{}      // one for each fetch under way
	reading  chan struct{}      // has room for pageReads: one for each that goes on
	tally    tally

	headerTimeout, bodyTimeout time.Duration // as the constants; less in tests
}

// New makes a Server. Store and CA must be set.
func New(config Config) *Server {
	if config.Rate == 0 {
		config.Rate = DefaultRate
	}
	if config.Burst == 0 {
		config.Burst = DefaultBurst
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	s := &Server{
		config:  config,
		clients: NewClients(config.Rate, config.Burst),
		copiers: NewClients(copierRate*config.Rate, copierRate*config.Burst),
		slots:   make(chan struct{}, MaxFetches),
		reading: make(chan struct{}, pageReads),

		headerTimeout: headerTimeout, bodyTimeout: bodyTimeout,
	}
	s.SetAuthorities(config.CA)
	return s
}

// SetAuthorities has what the own domain publishes judged by another authority than before:
// ca, or, as far as users are concerned, one of those that handed over to it.
func (s *Server) SetAuthorities(ca pki.CACert, former ...pki.CACert) {
	line := append([]pki.CACert{ca}, former...)
	s.line.Store(&line)
}

// ca is the authority in office.
func (s *Server) ca() pki.CACert { return (*s.line.Load())[0] }

// certifier is the authority whose key that is; the one in office if it is none's.
func (s *Server) certifier(issuer pki.Fingerprint) pki.CACert {
	for _, ca := range *s.line.Load() {
		if ca.Fingerprint() == issuer {
			return ca
		}
	}
	return s.ca()
}

// answer is a record as it goes out.
type answer struct {
	body        []byte
	contentType string
	cache       string // how it may be kept; empty: not at all
	tag         string // an ETag (RFC 9110, section 8.8.3), of what is asked for again and again
}

// write sends the answer; to whoever has it already, that he has it.
func (a answer) write(w http.ResponseWriter, r *http.Request) {
	setHeader(w, a.contentType)
	if a.cache != "" {
		w.Header().Set("Cache-Control", a.cache)
	}
	if a.tag != "" {
		w.Header().Set("ETag", a.tag)
	}
	if a.tag != "" && r.Header.Get("If-None-Match") == a.tag {
		w.Header().Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	_, _ = w.Write(a.body) // the client is gone: nobody to tell
}

const (
	typeRecord      = "application/octet-stream"
	typeCertificate = "application/pkix-cert" // RFC 2585, section 4.1
)

var (
	errMiss = errors.New("keyserver: no such record")
	errBusy = errors.New("keyserver: busy")
)

// ServeHTTP answers one request: 200 with the record, or 304; 404 for everything that
// is not there or not a look-up, always in the same bytes; 429 over the
// client's rate; 503 when the store fails or too many fetches are under way.
// A request to sign is answered as [SignRequest] says.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &counted{w, http.StatusOK}
	s.answer(c, r)
	s.tally.add(r, c.status)
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	if !s.clientsFor(r).Allow(r.RemoteAddr, s.config.Now()) {
		refuse(w, r, http.StatusTooManyRequests)
		return
	}
	if r.Method == http.MethodPost && r.RequestURI == signTarget && s.config.Sign != nil {
		s.sign(w, r)
		return
	}
	if s.config.Witness != nil && witness.Serves(r.Method, r.RequestURI) {
		s.config.Witness.ServeHTTP(w, r)
		return
	}
	q := parseRequest(r)
	if q.kind == serverPage {
		s.writePage(w, r, q.domain)
		return
	}
	a, err := s.lookUp(r.Context(), q)
	switch {
	case err == nil:
		a.write(w, r)
	case errors.Is(err, errMiss):
		refuse(w, r, http.StatusNotFound)
	default:
		refuse(w, r, http.StatusServiceUnavailable)
	}
}

// clientsFor has those who copy and cosign logs counted apart: a peer that follows a log which grows
// leaves the look-ups from its address alone.
func (s *Server) clientsFor(r *http.Request) *Clients {
	if witness.Serves(r.Method, r.RequestURI) || strings.HasPrefix(r.RequestURI, logPrefix) {
		return s.copiers
	}
	return s.clients
}

// refuse says no more than the status, and when to ask again. Whoever sent a body is cut off: it is
// not read.
func refuse(w http.ResponseWriter, r *http.Request, status int) {
	if r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
		w.Header().Set("Connection", "close")
	}
	body := http.StatusText(status) + "\n"
	setHeader(w, "text/plain; charset=utf-8")
	witness.SetLater(w.Header(), status)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

// setHeader sets all that an answer has beside its length: no date, no name of a program.
func setHeader(w http.ResponseWriter, contentType string) {
	h := w.Header()
	h["Date"] = nil
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
}

func (s *Server) lookUp(ctx context.Context, q query) (answer, error) {
	switch q.kind {
	case userByName:
		return s.user(ctx, q.name)
	case byKey:
		return s.key(ctx, q.fingerprint)
	case successionsOf:
		return s.successions(ctx, q.domain)
	case serverByDomain:
		v, err := s.config.Store.Server(ctx, q.domain.String())
		return answer{body: v.Descriptor, contentType: typeRecord}, miss(err)
	case proofOfUser, proofOfKey, proofOfServer, proofOfRevocation, proofOfChallenge:
		return s.proven(ctx, q)
	case logCheckpoint, logTile:
		if s.config.Log != nil {
			return s.config.Log.serve(ctx, q)
		}
	}
	// The same work as for a name that does not exist; "" is never one.
	if _, err := s.config.Store.User(ctx, ""); err != nil {
		return answer{}, miss(err)
	}
	return answer{}, errMiss
}

func (s *Server) user(ctx context.Context, name pki.Name) (answer, error) {
	u, err := s.config.Store.User(ctx, name.String())
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return answer{}, err
	}
	if name.Domain() == s.ca().Domain() || s.fresh(u) {
		return s.cardOf(u)
	}
	if s.config.Fetch == nil {
		return s.newer(ctx, Subject{Name: name}, u)
	}
	card, err := s.fetch(ctx, name)
	if err == nil {
		return answer{body: card, contentType: typeRecord}, nil
	}
	if a, missing := s.newer(ctx, Subject{Name: name}, u); missing == nil {
		return a, nil // the home is gone or busy: its signature still holds
	}
	return answer{}, err
}

// fresh reports whether a copy is young enough to serve unasked.
func (s *Server) fresh(u store.User) bool {
	age := s.config.Now().Sub(u.StoredAt)
	return len(u.Card) > 0 && age >= 0 && age < CacheFresh
}

func (s *Server) key(ctx context.Context, fp pki.Fingerprint) (answer, error) {
	u, err := s.config.Store.UserByFingerprint(ctx, fp)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return answer{}, err
	}
	if a, failed := s.newer(ctx, Subject{Key: fp}, u); err == nil || !errors.Is(failed, errMiss) {
		return a, failed
	}
	c, err := s.config.Store.CertificateByFingerprint(ctx, fp)
	if err == nil && c.Kind != store.KeyLink { // whom we countersigned is not for strangers
		return answer{}, errMiss
	}
	return answer{body: c.Raw, contentType: typeCertificate}, miss(err)
}

// cardOf: somebody without a card (none at all, or certified only), or whose key was revoked,
// is a miss.
func (s *Server) cardOf(u store.User) (answer, error) {
	if len(u.Card) == 0 {
		return answer{}, errMiss
	}
	if name, err := pki.ParseName(u.Name); err != nil || s.revoked(name, u.Fingerprint) {
		return answer{}, errMiss
	}
	return answer{body: u.Card, contentType: typeRecord}, nil
}

func (s *Server) revoked(name pki.Name, key pki.Fingerprint) bool {
	return s.config.Revoked != nil && s.config.Revoked(name, key)
}

func miss(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return errMiss
	}
	return err
}
