package identity_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"thatch/node/identity"
	"thatch/node/identity/identitytest"
	"thatch/node/nodetest"
	"thatch/node/store"
	"thatch/node/store/storetest"
)

func TestPartsAreRead(t *testing.T) {
	names := rapid.SliceOfN(rapid.String(), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		p := identity.Part{Groups: names.Draw(t, "groups"), Sites: names.Draw(t, "sites")}
		back := identity.ParsePart(p.Text())
		if p.Whole() != back.Whole() || p.Whole() != (p.Text() == "") {
			t.Fatalf("%+v is read as %+v", p, back)
		}
		for _, list := range [][]string{p.Groups, p.Sites} {
			for i, name := range list {
				list[i] = strings.ToValidUTF8(name, "\uFFFD")
			}
		}
		if !p.Whole() && (!reflect.DeepEqual(append([]string{}, p.Groups...), append([]string{}, back.Groups...)) || len(p.Sites) != len(back.Sites)) {
			t.Fatalf("%+v is read as %+v", p, back)
		}
	})
	// What cannot be read gives nothing, and never the whole site.
	for _, damaged := range []string{"{", "{}", "null", "[]", `{"groups":[]}`, `{"rooms":["x"]}`, "x", `{"groups":"berlin"}`} {
		if p := identity.ParsePart(damaged); p.Whole() || len(p.Groups) > 0 {
			t.Errorf("%q is read as %+v", damaged, p)
		}
	}
}

func TestPartsThatMakeNoSense(t *testing.T) {
	many := make([]string, 201)
	for i := range many {
		many[i] = strings.Repeat("x", i+1)
	}
	for _, p := range []identity.Part{{Groups: []string{""}}, {Sites: []string{"a", "b", "a"}}, {Groups: many}, {Sites: []string{strings.Repeat("x", 201)}}} {
		if err := p.Check(); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%.60v: %v", p, err)
		}
	}
	if err := (identity.Part{Groups: []string{"a"}, Sites: []string{"a"}}).Check(); err != nil {
		t.Error(err)
	}
}

func TestSeal(t *testing.T) {
	db, now := storetest.Open(t), nodetest.NewClock().Now
	dir := t.TempDir()
	id := identitytest.Open(t, dir, db, now)
	sealed, err := id.Seal("a purpose", []byte("hush"))
	if err != nil || bytes.Contains(sealed, []byte("hush")) {
		t.Fatal(sealed, err)
	}
	again, err := id.Seal("a purpose", []byte("hush"))
	if err != nil || bytes.Equal(sealed, again) {
		t.Error("the same secret is sealed alike twice", err)
	}
	// Another start, or another node of the site, opens it.
	if plain, err := identitytest.Open(t, dir, db, now).Unseal("a purpose", sealed); string(plain) != "hush" || err != nil {
		t.Errorf("%q, %v", plain, err)
	}
	stranger := identitytest.Open(t, t.TempDir(), storetest.Open(t), now)
	for name, open := range map[string]func() ([]byte, error){
		"for another purpose": func() ([]byte, error) { return id.Unseal("another", sealed) },
		"at another site":     func() ([]byte, error) { return stranger.Unseal("a purpose", sealed) },
		"cut":                 func() ([]byte, error) { return id.Unseal("a purpose", sealed[:len(sealed)-1]) },
		"very short":          func() ([]byte, error) { return id.Unseal("a purpose", sealed[:3]) },
		"altered": func() ([]byte, error) {
			altered := bytes.Clone(sealed)
			altered[len(altered)-1] ^= 1
			return id.Unseal("a purpose", altered)
		},
	} {
		if plain, err := open(); err == nil {
			t.Errorf("opened %s: %q", name, plain)
		}
	}
}
