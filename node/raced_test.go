//go:build race

package node

const raced = true // by the race detector
