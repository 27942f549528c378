package hierarchy

import "testing"

func TestParseRate(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "700": 700, "500k": 500_000, "2M": 2_000_000} {
		if got, err := parseRate(text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-1", "k", "1kM", "2m", "1.5M", "9999999999999999"} {
		if got, err := parseRate(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
}
