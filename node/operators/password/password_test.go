package password_test

import (
	"context"
	"strings"
	"testing"

	"thatch/node/operators/password"
)

var cheap = password.Cost{Memory: 8, Passes: 1, Threads: 1}

func TestHash(t *testing.T) {
	h := password.New(cheap)
	one, err := h.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	two, err := h.Hash(t.Context(), "correct horse")
	if err != nil || one == two || !strings.HasPrefix(one, "$argon2id$v=19$m=8,t=1,p=1$") {
		t.Fatalf("%s and %s, %v", one, two, err)
	}
	for plain, want := range map[string]bool{"correct horse": true, "correct horse ": false, "Correct horse": false, "": false, "correct horse\x00": false} {
		if right, old, err := h.Verify(t.Context(), plain, one); right != want || old || err != nil {
			t.Errorf("%q: %v, %v, %v", plain, right, old, err)
		}
	}
	if right, old, err := password.New(password.Cost{Memory: 16, Passes: 1, Threads: 1}).Verify(t.Context(), "correct horse", one); !right || !old || err != nil {
		t.Errorf("at another cost: %v, %v, %v", right, old, err)
	}
}

// TestNoHash: whatever stands in the table for a hash fits no password, and takes no node's memory.
func TestNoHash(t *testing.T) {
	h := password.New(cheap)
	for _, hash := range []string{
		"", "x", "$argon2id$", "$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAA", "$argon2id$v=18$m=8,t=1,p=1$c29tZXNhbHQ$AAAA",
		"$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHQ$" + strings.Repeat("A", 43), "$argon2id$v=19$m=8,t=0,p=1$c29tZXNhbHQ$" + strings.Repeat("A", 43),
		"$argon2id$v=19$m=8,t=4294967295,p=1$c29tZXNhbHQ$" + strings.Repeat("A", 43), "$argon2id$v=19$m=8,t=1,p=0$c29tZXNhbHQ$" + strings.Repeat("A", 43),
		"$argon2id$v=19$m=8,t=1,p=1$$" + strings.Repeat("A", 43), "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$", "$argon2id$v=19$m=8,t=1,p=1$!$!",
	} {
		for _, plain := range []string{"", "password"} {
			if right, _, err := h.Verify(t.Context(), plain, hash); right || err != nil {
				t.Errorf("%q fits %q: %v, %v", plain, hash, right, err)
			}
		}
	}
}

// TestWaiting: who gives up while others are judged is told so.
func TestWaiting(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h := password.New(cheap)
	for range 50 { // the turn or the end of the context: either may be seen first
		if _, err := h.Hash(ctx, "x"); err != nil {
			return
		}
	}
	t.Error("a context that has ended is never seen")
}

func TestCheck(t *testing.T) {
	for plain, says := range map[string]string{
		"short":                      "12 characters",
		"äöüäöüäöüäö":                "12 characters", // 11 runes, 22 bytes
		strings.Repeat("ab", 10):     "different",
		"my name is ANNA, really":    "the name",
		strings.Repeat("abcde", 300): "1000 bytes",
		"abcdefgh\xff\xfe\xfd\xfc":   "text",
		"correct horse battery":      "",
		"ein langer Satz, größer":    "",
	} {
		if got := password.Check(plain, "anna"); (says == "") != (got == "") || !strings.Contains(got, says) {
			t.Errorf("%.40q: %q, want %q", plain, got, says)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$"+strings.Repeat("A", 43), "x")
	h := password.New(cheap)
	f.Fuzz(func(t *testing.T, hash, plain string) {
		if strings.Contains(hash, "m=") && len(hash) > 60 {
			t.Skip("costs what it says")
		}
		if right, _, err := h.Verify(t.Context(), plain, hash); right || err != nil {
			t.Errorf("%q fits %q", plain, hash)
		}
	})
}
