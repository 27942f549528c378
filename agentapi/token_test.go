package agentapi_test

import (
	"errors"
	"strings"
	"testing"

	"thatch/agentapi"
)

func TestTokenText(t *testing.T) {
	var secret [agentapi.SecretSize]byte
	for i := range secret {
		secret[i] = byte(i)
	}
	token := agentapi.NewToken(secret, []byte("certificate"))
	const want = "tt1-aaaqeayeaudaocajbifqydiob4ibceqt-" // base32 of 00 01 .. 13
	if text := token.String(); !strings.HasPrefix(text, want) || len(text) != 4+32+1+32 {
		t.Fatalf("token %q, want %s and 32 digits", text, want)
	}
	back, err := agentapi.ParseToken("  " + strings.ToUpper(token.String()) + "\n")
	if err != nil || back != token {
		t.Fatalf("read back %v, %v", back, err)
	}
}

func TestParseTokenRefuses(t *testing.T) {
	good := agentapi.NewToken([agentapi.SecretSize]byte{7}, nil).String()
	for _, text := range []string{
		"", "tt1", "tt1--", good + "-", good[1:], good[:len(good)-1], good + "00", strings.Replace(good, "tt1", "tt2", 1),
		strings.Replace(good, "a", "1", 1), good[:36] + "-" + strings.Repeat("g", 32),
	} {
		if _, err := agentapi.ParseToken(text); !errors.Is(err, agentapi.ErrToken) {
			t.Errorf("%q: %v, want ErrToken", text, err)
		} else if len(text) > 20 && strings.Contains(err.Error(), text[4:20]) {
			t.Errorf("%q: the error tells the secret: %v", text, err)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(agentapi.NewToken([agentapi.SecretSize]byte{1}, []byte("x")).String())
	f.Fuzz(func(t *testing.T, text string) {
		token, err := agentapi.ParseToken(text)
		if err != nil {
			return
		}
		if back, err := agentapi.ParseToken(token.String()); err != nil || back != token {
			t.Fatalf("%q reads as %v, which does not come back: %v", text, token, err)
		}
	})
}
