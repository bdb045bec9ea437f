// Command p3do is a user's side of P3DO: a pseudonym like ann@a.test, messages to
// others, and what became of them.
//
//	p3do new ann@a.test
//	p3do send bob@b.test "hello"
//	p3do read
//
// It only ever talks to the user's own home. All that it keeps is in one folder, sealed
// under a passphrase. Errors and exit statuses are in exit.go.
//
// One file per subcommand; what they do is package agent's.
package main
