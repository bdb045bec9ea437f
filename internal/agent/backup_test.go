package agent

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// fresh is a folder that is not there yet and needs no network.
func fresh(t *testing.T) Config {
	t.Helper()
	return Config{Home: filepath.Join(t.TempDir(), "folder"), Passphrase: []byte("secret"), Dial: dial.Direct(), weak: true}
}

// keyonly is a pseudonym without a home, in a fresh folder.
func keyonly(t *testing.T) *Agent {
	t.Helper()
	a, err := NewKeyonly(fresh(t))
	must(t, err)
	t.Cleanup(func() { must(t, a.Close()) })
	return a
}

// What follows from a root is the same for ever: a backup on paper depends on it.
func TestRootIsForever(t *testing.T) {
	t.Parallel()
	root := make([]byte, rootSize)
	for i := range root {
		root[i] = byte(i)
	}
	s, err := identity{Root: root}.self()
	must(t, err)
	contact, err := s.contact(pki.Fingerprint{1})
	must(t, err)
	for what, is := range map[string]struct{ got, want string }{
		"identity": {s.key.Fingerprint().String(), "3kKhb-3zjwDf14Z7yGFHCZhlu4VA6sAJ1IRcACmDcDY"},
		"requests": {pki.Fingerprint(s.requests).String(), "N5UPg5mref_Yombfx_3CUfCt-vz6c2PQMA4IRfcCmkg"},
		"replies":  {pki.Fingerprint(s.replies).String(), "DyKpOpXzaxQ3L0D7p5vvI_J44Xx-OtaFmouYd3sJVpk"},
		"contact":  {pki.Fingerprint(contact).String(), "obih0ORP4u7NQU9YiZKyWpH0Q_QsQHq0Ax9xuspQJ2U"},
		"auth key": {pki.Fingerprint(s.keys.Public().Auth).String(), "gIQb5dr-n9qti517SNIEUeJR3ZB-bIz1H-hnvUkWmHg"},
	} {
		if is.got != is.want {
			t.Errorf("%s: %s, want %s", what, is.got, is.want)
		}
	}
	if _, err := (identity{Root: root[:31]}).self(); err == nil {
		t.Error("a short root makes an identity")
	}
}

// A pseudonym without a home: it is somebody, and can do nothing with others.
func TestKeyonly(t *testing.T) {
	t.Parallel()
	a := keyonly(t)
	self, err := a.Self()
	must(t, err)
	if !self.Name.IsZero() || self.ID != "key:"+self.Fingerprint.String() || self.Words != words.Of(self.Fingerprint) || !self.Revoker {
		t.Errorf("%+v", self)
	}
	bob, err := pki.ParseName("bob@b.test")
	must(t, err)
	if _, err := a.Send(t.Context(), bob, "hello", Way{}); !errors.Is(err, ErrNoHome) {
		t.Errorf("sent: %v", err)
	}
	if err := a.Fetch(t.Context()); !errors.Is(err, ErrNoHome) {
		t.Errorf("fetched: %v", err)
	}
	if _, err := a.Revocable(); !errors.Is(err, ErrNoHome) {
		t.Errorf("revocable: %v", err)
	}
	again, err := Open(t.Context(), a.cfg)
	must(t, err)
	same, err := again.Self()
	must(t, errors.Join(err, again.Close()))
	if same.ID != self.ID {
		t.Errorf("now %s, before %s", same.ID, self.ID)
	}
	var taken *TakenError
	if _, err := NewKeyonly(a.cfg); !errors.As(err, &taken) {
		t.Errorf("a second one: %v", err)
	}
}

// 24 words make the same identity in another folder, and nobody else's.
func TestRestoreWords(t *testing.T) {
	t.Parallel()
	a := keyonly(t)
	text, err := a.BackupWords()
	must(t, err)
	before, err := a.Self()
	must(t, err)
	b, err := RestoreWords(fresh(t), strings.ToUpper(strings.ReplaceAll(text, " ", "-")), pki.Name{})
	must(t, err)
	after, err := b.Self()
	must(t, errors.Join(err, b.Close()))
	if after.ID != before.ID {
		t.Errorf("now %s, before %s", after.ID, before.ID)
	}
	var count *words.CountError
	cfg := fresh(t)
	if _, err := RestoreWords(cfg, strings.TrimSuffix(text, lastWord(text)), pki.Name{}); !errors.As(err, &count) {
		t.Errorf("23 words: %v", err)
	}
	wrong := text + "zz"
	var word *words.WordError
	if _, err := RestoreWords(cfg, wrong, pki.Name{}); !errors.As(err, &word) || word.Position != 24 || strings.Contains(err.Error(), lastWord(wrong)) {
		t.Errorf("a wrong word: %v", err)
	}
	if _, err := os.Stat(cfg.Home); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder was made: %v", err)
	}
	var taken *TakenError
	if _, err := RestoreWords(a.cfg, text, pki.Name{}); !errors.As(err, &taken) {
		t.Errorf("over another: %v", err)
	}
}

func lastWord(text string) string {
	all := strings.Fields(text)
	return all[len(all)-1]
}

// What a backup file was made wrong by is said, and no folder is made of it.
func TestBackupFile(t *testing.T) {
	t.Parallel()
	a := keyonly(t)
	var file bytes.Buffer
	must(t, a.backup(&file, []byte("paper"), 10))
	for _, secret := range [][]byte{a.self.root, []byte(keyIdentity), []byte(keyRevoker)} {
		if bytes.Contains(file.Bytes(), secret) {
			t.Error("something is in clear")
		}
	}
	flipped := func(at int) []byte {
		b := bytes.Clone(file.Bytes())
		b[at] ^= 1
		return b
	}
	head := bytes.Index(file.Bytes(), []byte("\n---"))
	for name, c := range map[string]struct {
		raw        []byte
		passphrase string
		want       error
	}{
		"another passphrase": {file.Bytes(), "other", ErrBackupPassphrase},
		"one bit of it":      {flipped(file.Len() - 20), "paper", ErrBackupDamaged},
		"of its head":        {flipped(head + 8), "paper", ErrBackupDamaged},
		"the end is missing": {file.Bytes()[:file.Len()-1], "paper", ErrBackupDamaged},
		"something else":     {[]byte("hello"), "paper", ErrNoBackup},
		"nothing":            {nil, "paper", ErrNoBackup},
	} {
		cfg := fresh(t)
		if _, err := Restore(cfg, bytes.NewReader(c.raw), []byte(c.passphrase)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(cfg.Home); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a folder was made: %v", name, err)
		}
	}
	b, err := Restore(fresh(t), &file, []byte("paper"))
	must(t, err)
	defer func() { must(t, b.Close()) }()
	mine, ok, err := a.revoker()
	restored, same, _ := b.revoker()
	if err != nil || !ok || !same || !bytes.Equal(mine.Seed, restored.Seed) || b.self.key.Fingerprint() != a.self.key.Fingerprint() {
		t.Errorf("not the same: %v", err)
	}
}

// Who has lost the folder is the same person again: by a file with her contacts, by words
// under her name. She reads what was sent to her meanwhile, and answers.
func TestRestoreAndGoOn(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, cfg := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	annName, bobName := ann.self.name, bob.self.name
	send(t, ann, bobName, "one", mor.StoredThere)
	must(t, bob.Fetch(t.Context()))
	text, err := ann.BackupWords()
	must(t, err)
	var file bytes.Buffer
	must(t, ann.backup(&file, []byte("paper"), 10))
	must(t, ann.Close())

	cfg.Home = filepath.Join(t.TempDir(), "by file")
	byFile, err := Restore(cfg, &file, []byte("paper"))
	must(t, err)
	if keys := keysOf(t, byFile, prefixContact); len(keys) != 1 || keys[0] != prefixContact+bobName.String() {
		t.Errorf("contacts: %q", keys)
	}
	send(t, bob, annName, "two", mor.StoredThere)
	must(t, byFile.Fetch(t.Context()))
	if got := read(t, byFile); len(got) != 1 || got[0] != "two" {
		t.Errorf("by file: %q", got)
	}
	must(t, byFile.Close())

	cfg.Home = filepath.Join(t.TempDir(), "by words")
	byWords, err := RestoreWords(cfg, text, annName)
	must(t, err)
	must(t, byWords.Close())
	byWords, err = New(t.Context(), cfg, annName)
	must(t, err)
	defer func() { must(t, byWords.Close()) }()
	send(t, byWords, bobName, "three", mor.StoredThere)
	must(t, bob.Fetch(t.Context()))
	if got := read(t, bob); len(got) != 2 || got[1] != "three" {
		t.Errorf("bob: %q", got)
	}
	send(t, bob, annName, "four", mor.StoredThere)
	must(t, byWords.Fetch(t.Context()))
	if got := read(t, byWords); len(got) != 1 || got[0] != "four" {
		t.Errorf("by words: %q", got)
	}
}

// A revocation key that was taken out ends the identity key, and nothing else can be made
// of the file.
func TestRevocable(t *testing.T) {
	t.Parallel()
	ann, _ := here(t).user(t, "a.test")
	r, err := ann.Revocable()
	must(t, err)
	raw, err := r.Marshal()
	must(t, err)
	back, err := ParseRevocable(raw)
	must(t, err)
	revocation, err := back.Revoke(time.Now())
	must(t, err)
	parsed, err := pki.ParseRevocation(revocation.Raw())
	must(t, err)
	if parsed.Key() != ann.self.key.Public() || parsed.Scope != pki.KeyRevoked || parsed.By != pki.ByRevoker {
		t.Errorf("%+v", parsed)
	}
	ca, err := ann.authority(ann.self.name.Domain())
	must(t, err)
	must(t, parsed.Check(pki.Known{CA: ca}))
	for _, bad := range []string{"", "{}", strings.Replace(string(raw), "{", `{"what":"twice",`, 1), strings.Replace(string(raw), "key v1", "key v2", 1), string(raw) + "x", strings.Replace(string(raw), "words", "word", 1)} {
		if _, err := ParseRevocable([]byte(bad)); !errors.Is(err, ErrNoRevocable) {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

// What would be too long to be read again is not written, and the words are there all the same.
func TestBackupTooLong(t *testing.T) {
	t.Parallel()
	a := keyonly(t)
	const each = 7 // records of 1 MiB go into one transaction
	for n := 0; n < 49; n += each {
		must(t, a.vault.Update(func(tx *vault.Tx) error {
			for i := range each {
				tx.Put(fmt.Sprintf("%s%d", prefixContact, n+i), make([]byte, vault.MaxValue))
			}
			return nil
		}))
	}
	var file bytes.Buffer
	var long *BackupSizeError
	if err := a.backup(&file, []byte("paper"), 10); !errors.As(err, &long) || long.Size < MaxBackup || file.Len() > 0 {
		t.Errorf("%d bytes written: %v", file.Len(), err)
	}
	if text, err := a.BackupWords(); err != nil || len(strings.Fields(text)) != 24 {
		t.Error(err)
	}
	for _, size := range []int{0, 1, 64<<10 - 1, 64 << 10, 64<<10 + 1, 1 << 20} {
		file.Reset()
		recipient, err := age.NewScryptRecipient("paper")
		must(t, err)
		recipient.SetWorkFactor(10)
		w, err := age.Encrypt(&file, recipient)
		must(t, err)
		_, err = w.Write(make([]byte, size))
		must(t, errors.Join(err, w.Close()))
		if is, most := file.Len(), sealedSize(size); is > most || is < most-512 {
			t.Errorf("%d bytes are %d, and %d at most", size, is, most)
		}
	}
}

// Only the tests of this package make folders whose passphrase costs nothing to try: 64 MiB and three
// passes it costs everybody else. The file says so, as package vault has it.
func TestFoldersAreStrong(t *testing.T) {
	t.Parallel()
	for weak, want := range map[bool][2]uint32{(Config{}).weak: {3, 64 << 10}, true: {1, 8}} {
		cfg := fresh(t)
		cfg.weak = weak
		a, err := NewKeyonly(cfg)
		must(t, errors.Join(err, a.Close()))
		raw, err := os.ReadFile(filepath.Join(cfg.Home, "vault"))
		must(t, err)
		const at = 8 + 2 // magic and version
		if is := [2]uint32{binary.BigEndian.Uint32(raw[at:]), binary.BigEndian.Uint32(raw[at+4:])}; is != want {
			t.Errorf("weak %t: passes and KiB %d", weak, is)
		}
	}
}
