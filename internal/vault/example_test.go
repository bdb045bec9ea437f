package vault_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/p3do/p3do/internal/vault"
)

func Example() {
	base, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(base)
	home := filepath.Join(base, "home")

	v, err := vault.Create(home, []byte("a long passphrase"))
	if err != nil {
		fmt.Println(err)
		return
	}
	err = v.Update(func(tx *vault.Tx) error {
		tx.Put("contact/1", []byte("bob@b.test"))
		tx.Put("contact/2", []byte("cy@c.test"))
		return nil
	})
	fmt.Println("written:", err)
	v.Close()

	_, err = vault.Open(home, []byte("a wrong passphrase"))
	fmt.Println(err)

	v, err = vault.Open(home, []byte("a long passphrase"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer v.Close()
	v.View(func(tx *vault.Tx) error {
		return tx.Range("contact/", func(key string, value []byte) error {
			fmt.Printf("%s %s\n", key, value)
			return nil
		})
	})
	// Output:
	// written: <nil>
	// vault: wrong passphrase
	// contact/1 bob@b.test
	// contact/2 cy@c.test
}
