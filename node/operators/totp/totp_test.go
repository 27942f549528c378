package totp_test

import (
	"encoding/base32"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"thatch/node/operators/totp"
)

// The vectors of RFC 6238, appendix B, for SHA-1; six of their eight digits.
func TestVectors(t *testing.T) {
	secret := []byte("12345678901234567890")
	for at, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		if got := totp.Code(secret, time.Unix(at, 0)); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
	}
}

func TestMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "secret")
		at := time.Unix(rapid.Int64Range(1e9, 3e9).Draw(t, "at"), 0)
		off := rapid.IntRange(-4, 4).Draw(t, "steps")
		code := totp.Code(secret, at.Add(time.Duration(off)*30*time.Second))
		typed := code[:3] + rapid.SampledFrom([]string{"", " ", "-", "\u00a0"}).Draw(t, "between") + code[3:]
		step, ok := totp.Match(secret, typed, at, 0)
		if within := off >= -1 && off <= 1; within && (!ok || step != totp.StepOf(at)+int64(off)) {
			t.Fatalf("%d steps off: %d, %v", off, step, ok)
		} else if !within && ok && totp.Code(secret, at) != code && totp.Code(secret, at.Add(30*time.Second)) != code && totp.Code(secret, at.Add(-30*time.Second)) != code {
			t.Fatalf("%d steps off is taken", off)
		}
		if again, ok := totp.Match(secret, typed, at, step); ok && again <= step {
			t.Fatal("a code is good twice")
		}
	})
	for _, typed := range []string{"", "12345", "1234567", "abcdef", strings.Repeat("0", 1000)} {
		if _, ok := totp.Match([]byte("12345678901234567890"), typed, time.Unix(59, 0), 0); ok {
			t.Errorf("%.20q is taken", typed)
		}
	}
}

func TestURI(t *testing.T) {
	secret, err := totp.NewSecret()
	if err != nil || len(secret) != 20 {
		t.Fatal(secret, err)
	}
	u, err := url.Parse(totp.URI(secret, "Thatch at North", "anna@example.org"))
	if err != nil || u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/Thatch at North:anna@example.org" || strings.Contains(u.RawQuery, "+") {
		t.Fatalf("%+v, %v", u, err)
	}
	back, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Query().Get("secret"))
	if err != nil || string(back) != string(secret) || u.Query().Get("issuer") != "Thatch at North" {
		t.Errorf("%v, %v", u.Query(), err)
	}
	if grouped := totp.Grouped(secret); len(strings.Fields(grouped)) != 8 || strings.ReplaceAll(grouped, " ", "") != totp.Text(secret) {
		t.Errorf("in groups: %q", grouped)
	}
}
