package agent_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/dial"
)

func ExampleOpen() {
	a, err := agent.Open(context.Background(), agent.Config{
		Home: "testdata/nobody", Passphrase: []byte("secret"), Dial: dial.Direct(),
	})
	if errors.Is(err, agent.ErrNoIdentity) {
		fmt.Println("make one with agent.New")
		return
	}
	defer a.Close()
	// Output: make one with agent.New
}
