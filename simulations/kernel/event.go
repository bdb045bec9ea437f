package kernel

// A Time is an instant of a world, in nanoseconds since its beginning. It is not negative.
type Time int64

// Forever is the last instant.
const Forever = Time(1<<63 - 1)

// An Event is something that happens at an instant. What To and What mean is the world's to know.
type Event struct {
	At   Time
	To   uint32
	What uint32
}

// A Queue holds events that have not happened yet. It is not safe for concurrent use.
type Queue interface {
	// Push plans an event. One for an instant that is over happens next.
	Push(Event)
	// Next is the instant of the event that happens next; false if nothing is planned.
	Next() (Time, bool)
	// Pop takes the event that happens next; false if nothing is planned.
	Pop() (Event, bool)
	// Len is how many events are planned.
	Len() int
}
