package version

import (
	"os/exec"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// order is one way of comparing texts.
type order func(a, b string) (int, error)

var orders = map[string]order{"dotted": CompareDotted, "dpkg": CompareDpkg, "rpm": CompareRPM}

// Each chain rises from left to right; texts within one element are equal.
var chains = map[string][][]string{
	"dotted": {
		{"0", "0.0.0.0", "00", "0.0.0.0.0.0.0.0"},
		{"0.0.0.1", "0.0.0.01"},
		{"1", "1.0", "1.0.0", "1.0.0.0", " 1.0\t"},
		{"1.0.0.0.1"},
		{"1.0.9"},
		{"1.0.10"},
		{"1.2"},
		{"1.10"},
		{"6.3", "6.3.0.0"},
		{"6.3.9600.17415"},
		{"10.0.17763.316"},
		{"10.0.17763.3165"},
		{"11"},
		{"65535.65535.65535.65535"},
		{"20240131235959"},
		{"18446744073709551615"},
	},
	"dpkg": {
		{"0~~"},
		{"0~~a"},
		{"0~"},
		{"0", "0-0", "0:0", "00"},
		{"0a"},
		{"0+"},
		{"1.0~rc1-1"},
		{"1.0", "1.0-0", "1.0-00", "1.00"},
		{"1.0-1~bpo12+1"},
		{"1.0-1"},
		{"1.0-1+b1"},
		{"1.0-1+deb12u1"},
		{"1.0-1.1"},
		{"1.0-2"},
		{"1.0a-1"},
		{"1.0+dfsg-1"},
		{"1.0-1-1"},
		{"1.0.1"},
		{"1.2-1"},
		{"1.10-1"},
		{"2.36-9+deb12u4"},
		{"2.36-9+deb12u10"},
		{"99999999999999999999999999"},
		{"1:0.1"},
		{"1:1:2"},
		{"2:0"},
	},
	"rpm": {
		{"0~1"},
		{"0"},
		{"1.0~rc1"},
		{"1.0~rc1^git1"},
		{"1.0", "1.0.", "1_0", "1.00", "0:1.0"},
		{"1.0-1", "1.0-1."},
		{"1.0-1.el8"},
		{"1.0-1.el8_4"},
		{"1.0-1.el9"},
		{"1.0-2"},
		{"1.0^", "1.0.^"},
		{"1.0^20240101~x"},
		{"1.0^20240101"},
		{"1.0^20240101.1"},
		{"1.0a"},
		{"1.0aa"},
		{"1.0b"},
		{"1.0.1"},
		{"1.0.010"},
		{"1.0.99999999999999999999"},
		{"1.1"},
		{"1.10-1"},
		{"2a"},
		{"2.0"},
		{"1:0.1"},
	},
}

func TestChains(t *testing.T) {
	for name, chain := range chains {
		for i, lower := range chain {
			for j, upper := range chain {
				want := 0
				if i < j {
					want = -1
				} else if i > j {
					want = 1
				}
				for _, a := range lower {
					for _, b := range upper {
						if got, err := orders[name](a, b); err != nil || got != want {
							t.Errorf("%s: compare %q with %q: got %d, %v, wanted %d", name, a, b, got, err, want)
						}
					}
				}
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, texts := range map[string]map[string]string{
		"dotted": {
			"": "numbers with dots", " ": "numbers with dots", ".": "numbers with dots", "1.": "numbers with dots", ".1": "numbers with dots",
			"1..2": "numbers with dots", "1.2a": "numbers with dots", "v1.2": "numbers with dots", "-1": "numbers with dots", "1,2": "numbers with dots",
			"1 2": "numbers with dots", "1.2.3.4.5.6.7.8.9": "one to 8 numbers", "٣.٢": "numbers with dots",
			"18446744073709551616": "part 1 is too large", "1.99999999999999999999": "part 2 is too large", "184467440737095516159": "part 1 is too large",
			"5.15.202.1-1": "numbers with dots", "https://aka.ms/OfficeSecurityReleases": "numbers with dots",
		},
		"dpkg": {
			"": "begin with a digit", "a1": "begin with a digit", "1:": "begin with a digit", ":1": "epoch", "x:1": "epoch", "-1:1": "epoch",
			"99999999999:1": "epoch", "1.0-": "last dash", "-1": "begin with a digit", "1 0": "cannot have", "1.0_1": "cannot have", "1.0-1:2": "epoch",
			"1.ö": "cannot have", strings.Repeat("1", 1001): "longer than",
		},
		"rpm": {
			"": "not letters", "-1": "not letters", "1:": "not letters", "x:1": "epoch", "1-1-1": "not letters", "1 0": "not letters", "1%0": "not letters",
			strings.Repeat("1", 1001): "longer than",
		},
	} {
		for text, want := range texts {
			for _, pair := range [][2]string{{text, "1"}, {"1", text}} {
				_, err := orders[name](pair[0], pair[1])
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s %q: got %v, wanted %q", name, text, err, want)
				} else if len(err.Error()) > 200 {
					t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
				}
			}
		}
	}
}

func TestWhatIsJustAllowed(t *testing.T) {
	for name, text := range map[string]string{"dpkg": "1" + strings.Repeat("0", 999), "rpm": "1" + strings.Repeat("0", 999)} {
		if _, err := orders[name](text, "1"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"dpkg", "rpm"} {
		for _, pair := range [][2]string{{"1A", "1Z"}, {"1Z", "1a"}, {"1a", "1z"}} {
			if c, err := orders[name](pair[0], pair[1]); c != -1 || err != nil {
				t.Errorf("%s: %v: %d, %v", name, pair, c, err)
			}
		}
	}
}

func TestDottedText(t *testing.T) {
	for text, want := range map[string]string{"6.3": "6.3.0.0", "1.2.3.4": "1.2.3.4", "1.2.3.4.0.6": "1.2.3.4.0.6", "0": "0.0.0.0"} {
		d, err := ParseDotted(text)
		if err != nil || d.String() != want {
			t.Errorf("%s: %s, %v", text, d, err)
		}
	}
	if got := DottedOf([4]uint16{10, 0, 17763, 65535}).String(); got != "10.0.17763.65535" {
		t.Error(got)
	}
}

func TestCompareDottedAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { CompareDotted("10.0.17763.316", " 10.0.17763.1 ") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

var drawn = map[string]*rapid.Generator[string]{
	"dotted": rapid.StringMatching(`[0-9]{1,3}(\.[0-9]{1,2}){0,5}`),
	"dpkg":   rapid.StringMatching(`([0-2]:)?[0-9][0-9ab.~+]{0,4}(-[0-9a.~+]{1,3})?`),
	"rpm":    rapid.StringMatching(`([0-2]:)?[0-9ab._~^+]{1,5}(-[0-9a.~^]{1,3})?`),
}

func TestOrdersAreOrders(t *testing.T) {
	for name, compare := range orders {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				sign := func(a, b string) int {
					c, err := compare(a, b)
					if err != nil {
						rt.Fatal(err)
					}
					return c
				}
				a, b, c := drawn[name].Draw(rt, "a"), drawn[name].Draw(rt, "b"), drawn[name].Draw(rt, "c")
				ab, bc, ac := sign(a, b), sign(b, c), sign(a, c)
				if sign(a, a) != 0 {
					rt.Fatalf("%q is not equal to itself", a)
				}
				if sign(b, a) != -ab {
					rt.Fatalf("%q, %q: %d, the other way %d", a, b, ab, sign(b, a))
				}
				if ab <= 0 && bc <= 0 && (ac > 0 || ac == 0 && (ab < 0 || bc < 0)) {
					rt.Fatalf("%q %d %q %d %q, but %d", a, ab, b, bc, c, ac)
				}
			})
		})
	}
}

// Debian's own tool is the judge where there is one.
func TestDpkgAgreesWithDpkg(t *testing.T) {
	dpkg, err := exec.LookPath("dpkg")
	if err != nil {
		t.Skip("skipped: there is no dpkg here to compare with")
	}
	judge := func(a, b string) (int, bool) {
		for sign, op := range map[int]string{-1: "lt-nl", 0: "eq", 1: "gt-nl"} {
			if exec.Command(dpkg, "--compare-versions", a, op, b).Run() == nil {
				return sign, true
			}
		}
		return 0, false
	}
	texts := []string{}
	for _, equal := range chains["dpkg"] {
		texts = append(texts, equal[0])
	}
	gen := drawn["dpkg"]
	for i := range 150 {
		texts = append(texts, gen.Example(i))
	}
	for i, a := range texts {
		b := texts[(i*7+3)%len(texts)]
		got, err := CompareDpkg(a, b)
		want, ok := judge(a, b)
		if err != nil || !ok || got != want {
			t.Errorf("%q with %q: %d, %v; dpkg says %d", a, b, got, err, want)
		}
	}
}

func FuzzCompare(f *testing.F) {
	for _, chain := range chains {
		for i := 1; i < len(chain); i++ {
			f.Add(chain[i-1][0], chain[i][0])
		}
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for name, compare := range orders {
			ab, err := compare(a, b)
			ba, other := compare(b, a)
			if (err == nil) != (other == nil) || ab != -ba {
				t.Fatalf("%s: %q, %q: %d %v, the other way %d %v", name, a, b, ab, err, ba, other)
			}
		}
	})
}

func BenchmarkCompareDotted(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if c, err := CompareDotted("10.0.17763.316", "10.0.17763.1"); c != 1 || err != nil {
			b.Fatal(c, err)
		}
	}
}
