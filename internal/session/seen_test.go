package session

import (
	"testing"

	"github.com/p3do/p3do/pki"
)

// A home tells of no more devices than a user may have, and of no time that is none.
func TestWelcomeDevices(t *testing.T) {
	t.Parallel()
	domain, err := pki.ParseDomain("a.test")
	if err != nil {
		t.Fatal(err)
	}
	many := func(n int) (all []SeenDevice) {
		for i := range n {
			all = append(all, SeenDevice{pki.Fingerprint{byte(i)}, 1})
		}
		return all
	}
	for what, c := range map[string]struct {
		devices []SeenDevice
		want    bool
	}{
		"none": {nil, true}, "eight": {many(pki.MaxDevices), true}, "nine": {many(pki.MaxDevices + 1), false},
		"never": {[]SeenDevice{{Seen: 0}}, false}, "before all time": {[]SeenDevice{{Seen: -1}}, false},
		"the last second": {[]SeenDevice{{Seen: maxSeen}}, true}, "after it": {[]SeenDevice{{Seen: maxSeen + 1}}, false},
	} {
		w := Welcome{Domain: domain, Home: HomeView{Domain: domain, Path: PathHome, Devices: c.devices}}
		if w.valid() != c.want {
			t.Errorf("%s: %t", what, !c.want)
		}
	}
}
