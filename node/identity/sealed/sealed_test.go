package sealed

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestOpensForNobodyElse(t *testing.T) {
	key, other := newKey(t), newKey(t)
	secret := []byte("what nobody else may read")
	box, err := Seal(key.Public(), For("purpose", "site", "node"), secret)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(box, secret) {
		t.Error("the secret can be read in what was sealed")
	}
	if got, err := key.Open(For("purpose", "site", "node"), box); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("opened %q, %v", got, err)
	}
	altered := bytes.Clone(box)
	altered[len(altered)-1] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another key":     func() ([]byte, error) { return other.Open(For("purpose", "site", "node"), box) },
		"another purpose": func() ([]byte, error) { return key.Open(For("purpos", "esite", "node"), box) },
		"another holder":  func() ([]byte, error) { return key.Open(For("purpose", "site", "nod"), box) },
		"altered":         func() ([]byte, error) { return key.Open(For("purpose", "site", "node"), altered) },
		"cut":             func() ([]byte, error) { return key.Open(For("purpose", "site", "node"), box[:31]) },
		"nothing":         func() ([]byte, error) { return key.Open(For("purpose", "site", "node"), nil) },
	} {
		if got, err := open(); !errors.Is(err, ErrOther) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestSealsToNoKeyThatIsNone(t *testing.T) {
	for name, public := range map[string][]byte{
		"none": nil, "short": make([]byte, 31), "long": make([]byte, 33), "of low order": make([]byte, 32),
	} {
		if _, err := Seal(public, nil, []byte("x")); err == nil {
			t.Errorf("sealed to a key that is %s", name)
		}
	}
}

func TestKeyAsPEM(t *testing.T) {
	key := newKey(t)
	text, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseKey(text)
	if err != nil || !bytes.Equal(again.Public(), key.Public()) {
		t.Errorf("%v", err)
	}
	for name, bad := range map[string]string{
		"empty": "", "text": "no key", "cut": string(text[:len(text)/2]),
		"garbage": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
	} {
		if _, err := ParseKey([]byte(bad)); err == nil {
			t.Errorf("%s is read as a key", name)
		}
	}
}

func TestRecoveryAsPeopleTypeIt(t *testing.T) {
	text, key := newRecovery(t)
	if len(text) != groups*(groupSize+1)+groups-1 {
		t.Fatalf("%d characters: %s", len(text), text)
	}
	for _, typed := range []string{
		text, strings.ToLower(text), strings.ReplaceAll(text, "-", " "), strings.ReplaceAll(text, "-", ""), "  " + text + "\r\n",
		strings.NewReplacer("0", "o", "1", "l").Replace(text), strings.ReplaceAll(text, "1", "I"),
	} {
		again, err := ParseRecovery(typed)
		if err != nil || !bytes.Equal(again.Public(), key.Public()) {
			t.Errorf("%q: %v", typed, err)
		}
	}
	for typed, want := range map[string]string{
		"":                        "group 1 is missing",
		text[:len(text)-1]:        "group 8 is missing or cut",
		text + "-" + text[:5]:     "45 characters",
		"?" + text[1:]:            "in group 1",
		text[:6] + "U" + text[7:]: "in group 2",
	} {
		if _, err := ParseRecovery(typed); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", typed, err, want)
		}
	}
}

// TestRecoveryFindsMistakes tries every single wrong character, every two neighbours in one group that changed places,
// and every two groups that did.
func TestRecoveryFindsMistakes(t *testing.T) {
	text, _ := newRecovery(t)
	parts := strings.Split(text, "-")
	refused := func(parts []string) {
		t.Helper()
		typed := strings.Join(parts, "-")
		if typed == text {
			return
		}
		if _, err := ParseRecovery(typed); err == nil || !strings.Contains(err.Error(), "mistyped") {
			t.Errorf("%s for %s: %v", typed, text, err)
		}
	}
	for g := range parts {
		for i := range parts[g] {
			for _, letter := range letters {
				wrong := append([]string(nil), parts...)
				wrong[g] = wrong[g][:i] + string(letter) + wrong[g][i+1:]
				refused(wrong)
			}
			if i > 0 {
				wrong := append([]string(nil), parts...)
				b := []byte(wrong[g])
				b[i-1], b[i] = b[i], b[i-1]
				wrong[g] = string(b)
				refused(wrong)
			}
		}
		for other := range g {
			wrong := append([]string(nil), parts...)
			wrong[g], wrong[other] = wrong[other], wrong[g]
			refused(wrong)
		}
	}
}

// TestRecoveryStaysReadable holds the text of a known secret: keys lie in safes for years.
func TestRecoveryStaysReadable(t *testing.T) {
	secret := make([]byte, recoverySize)
	for i := range secret {
		secret[i] = byte(i * 13)
	}
	key, err := recoveryKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	text := recoveryText(secret)
	const wantText, wantName = "006H9-M9SMZ-85750-PT3N5-GA7SS-SADPS-RF8DF-VTQQ7", "F462-63D2-22C2"
	if text != wantText || Name(key.Public()) != wantName {
		t.Errorf("got %s, %s; want %s, %s", text, Name(key.Public()), wantText, wantName)
	}
	again, err := ParseRecovery(text)
	if err != nil || !bytes.Equal(again.Public(), key.Public()) {
		t.Error(err)
	}
}

func FuzzParseRecovery(f *testing.F) {
	f.Add("0123A-4567B")
	f.Fuzz(func(t *testing.T, text string) {
		if key, err := ParseRecovery(text); err == nil && len(key.Public()) != 32 {
			t.Error("a key of another size")
		}
	})
}

func newKey(t *testing.T) *Key {
	t.Helper()
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRecovery(t *testing.T) (string, *Key) {
	t.Helper()
	text, key, err := NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	return text, key
}
