package page_test

import (
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestContrast holds the colours of the stylesheet to WCAG 2.1 AA: 4.5 to 1 for texts, 3 to 1 for what is drawn.
func TestContrast(t *testing.T) {
	raw, err := os.ReadFile("assets/files/thatch.css")
	if err != nil {
		t.Fatal(err)
	}
	sheet := string(raw)
	light := tokens(sheet[:strings.Index(sheet, "@media")])
	dark := tokens(sheet[strings.Index(sheet, `:root[data-theme="dark"]`):strings.Index(sheet, "*, ::before")])
	for name, theme := range map[string]map[string]string{"light": light, "dark": dark} {
		if len(theme) < 20 {
			t.Fatalf("%s: only %d colours were found", name, len(theme))
		}
		for _, pair := range []struct {
			text, ground string
			least        float64
		}{
			{"ink", "paper", 4.5},
			{"ink", "card", 4.5},
			{"ink", "hover", 4.5},
			{"ink", "picked", 4.5},
			{"ink", "accent-soft", 4.5},
			{"ink-soft", "paper", 4.5},
			{"ink-soft", "card", 4.5},
			{"ink-soft", "hover", 4.5},
			{"link", "paper", 4.5},
			{"link", "card", 4.5},
			{"link", "hover", 4.5},
			{"accent", "accent-soft", 4.5},
			{"accent", "paper", 4.5},
			{"on-accent", "accent", 4.5},
			{"good", "good-soft", 4.5},
			{"bad", "bad-soft", 4.5},
			{"bad", "card", 4.5},
			{"warn", "warn-soft", 4.5},
			{"busy", "busy-soft", 4.5},
			{"ink", "good-soft", 4.5},
			{"ink", "bad-soft", 4.5},
			{"ink", "warn-soft", 4.5},
			{"ink", "busy-soft", 4.5},
			{"series-1", "card", 3},
			{"series-2", "card", 3},
			{"series-3", "card", 3},
			{"series-4", "card", 3},
			{"series-5", "card", 3},
		} {
			if got := contrast(t, theme[pair.text], theme[pair.ground]); got < pair.least {
				t.Errorf("%s: %s on %s has a contrast of %.2f, want %.1f", name, pair.text, pair.ground, got, pair.least)
			}
		}
	}
}

func tokens(sheet string) map[string]string {
	found := map[string]string{}
	for _, match := range regexp.MustCompile(`--([a-z0-9-]+): (#[0-9a-f]{6})`).FindAllStringSubmatch(sheet, -1) {
		found[match[1]] = match[2]
	}
	return found
}

// contrast is the ratio that WCAG 2.1 defines.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (math.Max(x, y) + 0.05) / (math.Min(x, y) + 0.05)
}

func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatalf("colour %q: %v", colour, err)
		}
		share := float64(n) / 255
		if share <= 0.04045 {
			share /= 12.92
		} else {
			share = math.Pow((share+0.055)/1.055, 2.4)
		}
		sum += weight * share
	}
	return sum
}
