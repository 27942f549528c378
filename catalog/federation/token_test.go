package federation_test

import (
	"errors"
	"strings"
	"testing"

	"thatch/catalog/federation"
)

func TestTokens(t *testing.T) {
	token := federation.NewToken([federation.SecretSize]byte{1, 2, 3}, []byte("certificate"))
	text := token.String()
	for _, good := range []string{text, " " + text + "\n", strings.ToUpper(text)} {
		if got, err := federation.ParseToken(good); err != nil || got != token {
			t.Errorf("%q: %+v, %v", good, got, err)
		}
	}
	parts := strings.Split(text, "-")
	for _, bad := range []string{
		"", "tc1", "tt1-" + parts[1] + "-" + parts[2], "tc1-" + parts[1], text + "-x", "tc1-" + parts[1][1:] + "-" + parts[2],
		"tc1-" + parts[1] + "-" + parts[2][2:], "tc1-" + strings.Replace(parts[1], parts[1][:1], "1", 1) + "-" + parts[2], "tc1-" + parts[1] + "-zz" + parts[2][2:],
	} {
		_, err := federation.ParseToken(bad)
		if !errors.Is(err, federation.ErrToken) || strings.Contains(err.Error(), parts[1]) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	other := federation.NewToken([federation.SecretSize]byte{1, 2, 4}, []byte("certificate"))
	if string(other.Hash()) == string(token.Hash()) || len(token.Hash()) != 32 {
		t.Error("two secrets have one hash")
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(federation.NewToken([federation.SecretSize]byte{9}, nil).String())
	f.Add("tc1--")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := federation.ParseToken(text)
		if err != nil {
			return
		}
		if again, err := federation.ParseToken(token.String()); err != nil || again != token {
			t.Fatalf("%q: %v", text, err)
		}
	})
}
