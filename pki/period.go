package pki

import "time"

// PeriodLength is how long a server key is in use: 7 days.
const PeriodLength = periodSeconds * time.Second

const periodSeconds = 7 * 24 * 60 * 60

// A Period numbers the 7-day spans since 1970-01-01T00:00:00Z, a Thursday. A
// node has one server key for each.
type Period uint32

// PeriodAt returns the period that holds now. Times before 1970 are in period 0.
func PeriodAt(now time.Time) Period {
	return Period(max(now.Unix(), 0) / periodSeconds)
}

// Start returns the first second of the period, in UTC.
func (p Period) Start() time.Time { return time.Unix(int64(p)*periodSeconds, 0).UTC() }

// End returns the first second after the period, in UTC.
func (p Period) End() time.Time { return time.Unix((int64(p)+1)*periodSeconds, 0).UTC() }
