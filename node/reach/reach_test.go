package reach_test

import (
	"slices"
	"testing"

	"thatch/node/reach"
)

func TestWhereANodeIsReached(t *testing.T) {
	for _, c := range []struct {
		listen, bound string
		names, want   []string
	}{
		{"127.0.0.1:0", "127.0.0.1:4321", nil, []string{"127.0.0.1:4321"}},
		{"127.0.0.1:8743", "", []string{"n1.example"}, []string{"n1.example:8743", "127.0.0.1:8743"}},
		{"n1.example:8743", "", []string{"n1.example"}, []string{"n1.example:8743"}},
		{"[::1]:8743", "", nil, []string{"[::1]:8743"}},
	} {
		if got := reach.Addresses(c.listen, c.names, c.bound); !slices.Equal(got, c.want) {
			t.Errorf("%s, %v: %v, want %v", c.listen, c.names, got, c.want)
		}
	}
	names := make([]string, 100)
	for i := range names {
		names[i] = string(rune('a'+i%26)) + string(rune('a'+i/26)) + ".example"
	}
	if got := reach.Addresses(":8743", names, ""); len(got) > 12 || got[0] != "aa.example:8743" {
		t.Errorf("too many addresses, or not those that were given first: %v", got)
	}
}

func TestNamesOfACertificate(t *testing.T) {
	got := reach.CertificateNames("n1.example:8743", []string{"n2.example", "localhost"})
	for _, want := range []string{"localhost", "127.0.0.1", "::1", "n1.example", "n2.example"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is missing in %v", want, got)
		}
	}
	if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Errorf("not in order, or twice: %v", got)
	}
	if reach.Name("berlin") != "berlin" || reach.Name("") == "" {
		t.Error("a node has no name")
	}
}
