package agent

import (
	"context"
	"fmt"
	"testing"
)

// Who stops asking a DNS server has not heard what it says.
func TestStoppedWhileAsking(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{context.Canceled, context.DeadlineExceeded} {
		if e := (&DNSError{Cause: fmt.Errorf("dnstxt: asking: %w", cause)}); e.Answered() {
			t.Errorf("answered: %v", cause)
		}
	}
}
