// Package kernel keeps the events of a discrete simulation in their order: by the instant at which they
// happen, and of one instant in the order in which they were planned. That order is total, so a world that draws
// its lots from seeded streams happens the same way each time, whichever queue it is kept in.
//
// An [Event] is sixteen bytes without a pointer: when, to whom, and what in the world's own numbers. A queue boxes
// nothing, and the garbage collector has nothing to look at in it. There are two. [Wheel] is the one to use: buckets of 65.5 µs
// on a ring, as in the timing wheels of Varghese and Lauck (SOSP 1987), with a heap for what is beyond the
// ring. [Heap] is a binary heap: slower when much is planned, and so simple that the wheel can be held to it.
package kernel
