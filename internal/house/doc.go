// Package house holds the rules that every file of this module obeys, as
// functions that read source code and answer with findings. The test at the root
// of the module loads the tree and calls them; nothing else imports this package.
//
// Three nouns carry it. A [Tree] is the module as the go command sees it: own
// packages parsed and type-checked, and the list of everything they depend on. A
// [Finding] is one broken rule, with the place and a sentence that says what to
// do. An [Exempt] list names what a rule lets pass and why; an exemption that
// nothing needs any more is a finding too, so that lists only shrink.
//
//	tree, err := house.Load(".")
//	...
//	for _, f := range house.Purity(tree, []string{"mor", "mor/onion", "pki"}) {
//		t.Error(f)
//	}
//
// The rules, one function each: [Imports] (the table of ARCHITECTURE.md against
// the real imports), [Rules] (the tests that its invariants name exist), [Acceptance]
// (so do those of docs/acceptance.md, and no row is left out), [Comments], [Purity],
// [Doors] (only internal/dial opens connections), [Weak] (no MD5, SHA-1, OpenPGP),
// [Licences], [Hosts] (no host name built in), [Sizes], [Marks], [State] (no init, no
// variables that change), [Raced], [Skips], [Says] (pages have the numbers of the code), [Named]
// (what they name exists) and [Libc].
//
// [Load] runs "go list" and reads files; everything else is a pure function of
// what it returned, so each rule is tested on small made-up sources with [Parse].
// A package that does not compile is a finding of [Compile], and the other rules
// still judge what can be read of it.
package house
