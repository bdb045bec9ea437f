// Package graph makes the networks that simulations run on: who is whose neighbour, and how long
// a packet travels between them.
//
// A [Graph] is undirected, without loops and double edges, and never changes. Each edge is two arcs, one
// each way; arcs are numbered from 0, those of one node together, so that whatever belongs to an
// arc, its latency for instance, is a slice. Nodes are numbered from 0.
package graph
