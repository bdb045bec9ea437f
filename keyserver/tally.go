package keyserver

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/p3do/p3do/keyserver/witness"
)

// A Route is a kind of request, as it is counted. It names nobody.
type Route string

// routes are all; whatever begins with none of them is counted as the last.
var routes = [...]Route{"user", "key", "server", "servers", "successions", "proof", "log", "mirror", "witness", "sign", "other"}

// statuses are all statuses of answers; one that is not among them is counted as the last.
var statuses = [...]int{200, 304, 400, 403, 404, 409, 422, 429, 503, 500}

// A Count is how many requests of one route were answered with one status.
type Count struct {
	Route  Route
	Status int
	Number uint64
}

// tally counts answers.
type tally [len(routes)][len(statuses)]atomic.Uint64

// Counts returns a count for each route and status that came about.
func (s *Server) Counts() (all []Count) {
	for i := range s.tally {
		for j := range s.tally[i] {
			if n := s.tally[i][j].Load(); n > 0 {
				all = append(all, Count{routes[i], statuses[j], n})
			}
		}
	}
	return all
}

// counted is a ResponseWriter that remembers what the status was.
type counted struct {
	http.ResponseWriter
	status int
}

func (c *counted) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// add counts the answer to a request.
func (t *tally) add(r *http.Request, status int) {
	t[place(routes[:], routeOf(r))][place(statuses[:], status)].Add(1)
}

// place is where v stands among all; the last place if it is none of them.
func place[T comparable](all []T, v T) int {
	if i := slices.Index(all, v); i >= 0 {
		return i
	}
	return len(all) - 1
}

// routeOf reads no more of a target than what is asked for, and not of whom.
func routeOf(r *http.Request) Route {
	switch {
	case r.Method == http.MethodPost && r.RequestURI == signTarget:
		return "sign"
	case r.Method == http.MethodPost && r.RequestURI == witness.AddCheckpoint:
		return "witness"
	case r.Method != http.MethodGet:
		return "other"
	}
	rest, _ := strings.CutPrefix(r.RequestURI, "/v1/")
	what, _, _ := strings.Cut(rest, "/")
	return Route(what)
}
