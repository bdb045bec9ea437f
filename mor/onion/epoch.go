package onion

import "time"

// EpochLength is how long a packet epoch lasts. Hints change with it; receivers accept the neighbours as well.
const EpochLength = 30 * time.Minute

// Epoch counts packet epochs since 1 January 1970 UTC: Unix seconds divided by 1800.
type Epoch uint32

// EpochAt returns the epoch that now falls in. Instants outside the range of an Epoch (before 1970, or in some
// 240 000 years) wrap.
func EpochAt(now time.Time) Epoch { return Epoch(now.Unix() / int64(EpochLength/time.Second)) }

// Wire returns the low 16 bits, which is what a packet carries.
func (e Epoch) Wire() uint16 { return uint16(e) }

// Start returns the first instant of the epoch, in UTC.
func (e Epoch) Start() time.Time { return time.Unix(int64(e)*int64(EpochLength/time.Second), 0).UTC() }

// Near returns the epoch among e-1, e and e+1 whose wire form is given, or ErrEpoch. A clock may thus be wrong by
// half an hour, and a packet may take as long.
func (e Epoch) Near(wire uint16) (Epoch, error) {
	for _, near := range [...]Epoch{e, e - 1, e + 1} {
		if near.Wire() == wire {
			return near, nil
		}
	}
	return 0, ErrEpoch
}
