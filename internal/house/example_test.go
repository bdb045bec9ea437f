package house_test

import (
	"fmt"

	"github.com/p3do/p3do/internal/house"
)

// A made-up module with a clock in its core.
func ExamplePurity() {
	tree, err := house.Parse("m.test", map[string]string{
		"m.test/mor/seen.go": `package mor

import "time"

func old(at time.Time) bool { return time.Since(at) > time.Hour }
`})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range house.Purity(tree, []string{"mor"}) {
		fmt.Println(f)
	}
	// Output: mor/seen.go:5:43: not pure: uses time.Since
}
