package simulations_test

import (
	"fmt"
	"log"
	"time"

	"github.com/p3do/p3do/simulations"
)

// Three servers: ann and bob live at the first, and the other two relay for them.
func Example() {
	w, err := simulations.NewWorld(simulations.Config{Seed: 1, Nodes: 3})
	if err != nil {
		log.Fatal(err)
	}
	ann, err := w.AddUser(0)
	if err != nil {
		log.Fatal(err)
	}
	bob, err := w.AddUser(0)
	if err != nil {
		log.Fatal(err)
	}
	id, err := ann.Send(bob, "hello")
	if err != nil {
		log.Fatal(err)
	}
	w.Run(5 * time.Second)
	fmt.Println(bob.Inbox()[0].Text)
	fmt.Println(ann.State(id))
	// Output:
	// hello
	// acknowledged
}
