package vault

import (
	"errors"
	"sync"
	"testing"
)

// A transaction inside a transaction of the same vault fails at once, and harms neither the outer one
// nor those after it; others, of other goroutines and other vaults, only wait.
func TestNestedTransactions(t *testing.T) {
	t.Parallel()
	v, _ := newVault(t)
	w, _ := newVault(t)
	type transaction = func(func(*Tx) error) error
	for outer, do := range map[string]transaction{"View": v.View, "Update": v.Update} {
		for inner, again := range map[string]transaction{
			"View": v.View, "Update": v.Update, "Close": func(func(*Tx) error) error { return v.Close() },
		} {
			err := do(func(*Tx) error {
				return again(func(*Tx) error { t.Errorf("a %s in the %s runs", inner, outer); return nil })
			})
			if !errors.Is(err, ErrNested) {
				t.Errorf("a %s in the %s: %v", inner, outer, err)
			}
		}
	}
	err := v.Update(func(tx *Tx) error {
		tx.Put("a", []byte("1"))
		if err := v.View(func(*Tx) error { return nil }); !errors.Is(err, ErrNested) {
			t.Errorf("a View in an Update: %v", err)
		}
		return w.Update(func(tx *Tx) error { tx.Put("b", []byte("2")); return nil })
	})
	if err != nil {
		t.Error(err)
	}
	var others sync.WaitGroup
	for range 8 {
		others.Go(func() {
			for range 20 {
				if err := v.View(func(*Tx) error { return nil }); err != nil {
					t.Errorf("of another goroutine: %v", err)
				}
			}
		})
	}
	others.Wait()
	wantContents(t, v, "a=1\n")
	wantContents(t, w, "b=2\n")
}

// Every goroutine has a number of its own.
func TestGoroutine(t *testing.T) {
	t.Parallel()
	me, other := goroutine(), make(chan uint64)
	go func() { other <- goroutine() }()
	if o := <-other; me == 0 || o == 0 || me == o || me != goroutine() {
		t.Errorf("this one is %d, another one %d", me, o)
	}
}

// A function that panics in a transaction leaves a vault that can be used.
func TestPanicInTransaction(t *testing.T) {
	t.Parallel()
	v, _ := newVault(t)
	func() {
		defer func() { _ = recover() }()
		_ = v.Update(func(*Tx) error { panic("in the function") })
	}()
	put(t, v, "a", "1")
	wantContents(t, v, "a=1\n")
}
