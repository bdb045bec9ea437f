package house

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Licence names the licence of a text by sentences that only it contains, or says
// why it cannot. It knows the licences that may be combined into a program under
// GPL-3.0-or-later; everything else is refused, also a known licence with a clause
// added that takes freedom away, and a four-clause BSD. A text that holds several
// licences passes by any one that is known, so such a file deserves a reader.
func Licence(text string) (name string, err error) {
	flat := strings.ToLower(strings.Join(strings.Fields(text), " "))
	for _, clause := range []string{"commons clause", "all advertising materials mentioning", "server side public license",
		"business source license", "for non-commercial", "non-commercial use only", "noncommercial license", "no commercial use"} {
		if strings.Contains(flat, clause) {
			return "", fmt.Errorf("house: the licence contains %q", clause)
		}
	}
	known := []struct {
		name  string
		marks []string
	}{
		{"Apache-2.0", []string{"apache license version 2.0, january 2004", "grant of patent license"}},
		{"MPL-2.0", []string{"mozilla public license version 2.0", "secondary license"}},
		{"GPL-3.0", []string{"gnu general public license version 3, 29 june 2007"}},
		{"SQLite", []string{"has been dedicated to the public domain by the authors"}},
		{"OFL-1.1", []string{"sil open font license version 1.1", "can be bundled, embedded, redistributed and/or sold with any software"}}, // of fonts
		{"CC-BY-4.0", []string{"creative commons attribution 4.0 international public license"}},
		{"CC-BY-4.0", []string{"licensed under the creative commons attribution 4.0 international license"}},
		{"GPL-2.0-or-later", []string{"your choice of exactly one of", "the gnu general public license (gpl), version 2 or later"}},
		{"CC0-1.0", []string{"cc0 1.0 universal"}},
		{"Unlicense", []string{"this is free and unencumbered software released into the public domain"}},
		{"MIT", []string{"permission is hereby granted, free of charge, to any person obtaining a copy", "the above copyright notice and this permission notice"}},
		{"ISC", []string{"permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted"}},
		{"ISC", []string{"permission to use, copy, modify, and distribute this software for any purpose with or without fee is hereby granted"}},
		{"BSD-3-Clause", []string{"redistribution and use in source and binary forms", "redistributions of source code must retain", "contributors may be used to endorse or promote"}},
		{"BSD-3-Clause", []string{"redistribution and use in source and binary forms", "redistributions of source code must retain", "may not be used to endorse or promote"}},
		{"BSD-2-Clause", []string{"redistribution and use in source and binary forms", "redistributions of source code must retain"}},
	}
	for _, k := range known {
		if !slices.ContainsFunc(k.marks, func(m string) bool { return !strings.Contains(flat, m) }) {
			return k.name, nil
		}
	}
	return "", fmt.Errorf("house: no licence that is known to be compatible with GPL-3.0-or-later")
}

// Licences judges the licence file of every module that the module's packages and
// their tests need. A module without a licence file, or with none that [Licence]
// knows, is a finding; where a module has several files, each must be known, but
// for those in exempt, as "module file".
func Licences(t *Tree, exempt Exempt) ([]Finding, error) {
	l := newLedger(exempt)
	dirs := make(map[string]string)
	for _, d := range t.Deps {
		if !d.Standard && d.Module != "" {
			dirs[d.Module] = d.Dir
		}
	}
	var out []Finding
	for _, module := range sortedKeys(dirs) {
		texts, err := licenceTexts(dirs[module])
		if err != nil {
			return nil, err
		}
		if len(texts) == 0 {
			out = append(out, Finding{module, "has no licence file"})
		}
		for _, file := range sortedKeys(texts) {
			if _, err := Licence(texts[file]); err != nil && !l.passes(module+" "+file) {
				out = append(out, Finding{module, file + ": " + err.Error()})
			}
		}
	}
	return append(out, l.idle("licence")...), nil
}

// licenceTexts reads the licence files at the root of a module.
func licenceTexts(dir string) (map[string]string, error) {
	is := regexp.MustCompile(`(?i)^(licen[sc]e|copying|unlicense)([-_.].*)?$`)
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("house: %w", err)
	}
	texts := make(map[string]string)
	for _, e := range list {
		if e.IsDir() || !is.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("house: %w", err)
		}
		texts[e.Name()] = string(b)
	}
	return texts, nil
}

// Libc demands that the version of modernc.org/libc in the build is the very one
// that modernc.org/sqlite asks for in its go.mod: its machine code is generated
// for that version and no other. A tree without sqlite has nothing to hold.
func Libc(t *Tree) ([]Finding, error) {
	var have, gomod string
	for _, d := range t.Deps {
		switch d.Module {
		case "modernc.org/libc":
			have = d.Version
		case "modernc.org/sqlite":
			gomod = d.GoMod
		}
	}
	if gomod == "" {
		return nil, nil
	}
	text, err := os.ReadFile(gomod)
	if err != nil {
		return nil, fmt.Errorf("house: %w", err)
	}
	return libc(have, string(text)), nil
}

// libc compares a version with the one that a go.mod requires.
func libc(have, gomod string) []Finding {
	m := regexp.MustCompile(`(?m)^\s*(?:require\s+)?modernc\.org/libc (v\S+)`).FindStringSubmatch(gomod)
	if m == nil {
		return []Finding{{"modernc.org/sqlite", "its go.mod no longer names modernc.org/libc"}}
	}
	if m[1] != have {
		return []Finding{{"modernc.org/libc", fmt.Sprintf("is %s in the build, but modernc.org/sqlite was made for %s: pin that one", have, m[1])}}
	}
	return nil
}
