package scan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"thatch/agent/facts"
	"thatch/catalog"
	"thatch/catalog/rule"
	"thatch/catalog/rule/memory"
)

var (
	yes    = rule.Test("True")
	no     = rule.Test("False")
	untold = rule.Test("NoSuchOperator")
)

func look(t testing.TB, all []Update) *Scan {
	t.Helper()
	s, err := New(context.Background(), facts.Machine{Name: "PC"}, &rule.Facts{}, NewCatalog(all))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// verdict is how an update was found to stand.
func (s *Scan) verdict(id string) Verdict {
	if v, found := s.stands[id]; found {
		return v
	}
	return Verdict{Standing: Absent}
}

func one(id string, body catalog.Update) Update {
	body.Name = "update " + id
	return Update{Number: uint32(id[0]), ID: id, Body: body}
}

// What cannot be told is neither patched nor not applicable.
func TestStandings(t *testing.T) {
	for _, c := range []struct {
		applicable, installed, superseded *rule.Rule
		noRule                            string
		want                              Standing
	}{
		{yes, yes, nil, "", Installed},
		{no, yes, nil, "", Installed},
		{untold, yes, nil, "", Installed},
		{yes, no, nil, "", Applicable},
		{yes, untold, nil, "", Unknown},
		{no, no, nil, "", Absent},
		{no, untold, nil, "", Absent},
		{untold, no, nil, "", Unknown},
		{untold, untold, nil, "", Unknown},
		{yes, no, yes, "", Superseded},
		{yes, no, no, "", Applicable},
		{yes, no, untold, "", Unknown},
		{yes, nil, nil, "", Unknown},
		{nil, no, nil, "", Unknown},
		{nil, nil, nil, "no rule could be made", Unknown},
	} {
		s := look(t, []Update{one("a", catalog.Update{Rules: catalog.Rules{Applicable: c.applicable, Installed: c.installed, Superseded: c.superseded, NoRule: c.noRule}})})
		v := s.verdict("a")
		if v.Standing != c.want || v.Standing == Unknown && v.Why == "" {
			t.Errorf("%+v: %+v", c, v)
		}
	}
}

func TestPrerequisites(t *testing.T) {
	all := []Update{
		one("i", catalog.Update{Rules: catalog.Rules{Installed: yes, Applicable: no}}),
		one("m", catalog.Update{Rules: catalog.Rules{Installed: no, Applicable: yes}}),
		one("n", catalog.Update{Rules: catalog.Rules{Installed: no, Applicable: no}}),
		one("u", catalog.Update{Rules: catalog.Rules{Installed: untold, Applicable: yes}}),
		one("d", catalog.Update{Rules: catalog.Rules{Installed: no, Applicable: yes}, Detector: true}),
	}
	for _, c := range []struct {
		groups [][]string
		want   Standing
		first  string
	}{
		{nil, Applicable, ""},
		{[][]string{{}}, Applicable, ""},
		{[][]string{{"i"}}, Applicable, ""},
		{[][]string{{"n", "i"}}, Applicable, ""},
		{[][]string{{"m"}}, Applicable, "update m"},
		{[][]string{{"i"}, {"m"}}, Applicable, "update m"},
		{[][]string{{"n"}}, Absent, "update n"},
		{[][]string{{"i"}, {"n"}}, Absent, "update n"},
		{[][]string{{"d"}}, Absent, "update d"},
		{[][]string{{"u"}}, Unknown, "update u"},
		{[][]string{{"u", "m"}}, Applicable, "update u"},
		{[][]string{{"u"}, {"n"}}, Absent, "update u"},
		{[][]string{{"gone"}}, Unknown, "gone"},
		{[][]string{{"gone", "i"}}, Applicable, ""},
		{[][]string{{"gone", "m"}}, Applicable, "gone"},
	} {
		s := look(t, append(slices.Clone(all), one("x", catalog.Update{Rules: catalog.Rules{Installed: no, Applicable: yes}, Relations: catalog.Relations{Prerequisites: c.groups}})))
		if v := s.verdict("x"); v.Standing != c.want {
			t.Errorf("%v: %+v, want %d", c.groups, v, c.want)
		}
		if first := s.Lacking(c.groups); first != c.first {
			t.Errorf("%v: first comes %q, want %q", c.groups, first, c.first)
		}
	}
}

func TestReport(t *testing.T) {
	s := look(t, []Update{
		one("c", catalog.Update{Rules: catalog.Rules{Installed: no, Applicable: yes}}), one("a", catalog.Update{Rules: catalog.Rules{Installed: no, Applicable: yes}}),
		one("i", catalog.Update{Rules: catalog.Rules{Installed: yes}}), one("u", catalog.Update{Rules: catalog.Rules{NoRule: "why"}}), one("n", catalog.Update{Rules: catalog.Rules{Installed: no, Applicable: no}}),
		one("d", catalog.Update{Rules: catalog.Rules{Installed: yes}, Detector: true}),
		one("o", catalog.Update{Rules: catalog.Rules{Installed: no, Applicable: yes}}), one("s", catalog.Update{Rules: catalog.Rules{Installed: yes}, Relations: catalog.Relations{Supersedes: []string{"o"}}}),
	})
	s.Refused = map[uint32]string{7: "tampered"}
	sets, reasons := s.Report()
	if !slices.Equal(sets.Applicable, []uint32{'a', 'c'}) || !slices.Equal(sets.Installed, []uint32{'i', 's'}) || !slices.Equal(sets.Unknown, []uint32{7, 'u'}) {
		t.Errorf("%+v", sets)
	}
	if reasons['u'] != "why" || reasons[7] != "tampered" || len(reasons) != 2 {
		t.Errorf("%v", reasons)
	}
	if v := s.verdict("o"); v.Standing != Superseded || v.Why == "" {
		t.Errorf("%+v", v)
	}
}

func TestEndedScan(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := New(ctx, facts.Machine{}, &rule.Facts{}, NewCatalog([]Update{one("a", catalog.Update{})})); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
}

// Whatever supersedes whatever, circles too: an update counts as overtaken exactly when a path leads to an installed
// one.
func TestSuccessors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(t, "updates")
		var all []Update
		edges := map[int][]int{} // from an update to those that supersede it
		has := make([]bool, n)
		for i := range n {
			body := catalog.Update{Rules: catalog.Rules{Applicable: yes, Installed: no}}
			if has[i] = rapid.Bool().Draw(t, "installed"); has[i] {
				body.Installed = yes
			}
			for _, former := range rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 3).Draw(t, "supersedes") {
				body.Supersedes = append(body.Supersedes, fmt.Sprint(former))
				edges[former] = append(edges[former], i)
			}
			all = append(all, Update{Number: uint32(i), ID: fmt.Sprint(i), Body: body})
		}
		s, err := New(context.Background(), facts.Machine{}, &rule.Facts{}, NewCatalog(all))
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			want := Applicable
			switch {
			case has[i]:
				want = Installed
			case reaches(edges, has, i, map[int]bool{i: true}):
				want = Superseded
			}
			if got := s.verdict(fmt.Sprint(i)).Standing; got != want {
				t.Fatalf("update %d is %d, want %d; edges %v, installed %v", i, got, want, edges, has)
			}
		}
	})
}

func reaches(edges map[int][]int, has []bool, from int, seen map[int]bool) bool {
	for _, next := range edges[from] {
		if seen[next] {
			continue
		}
		seen[next] = true
		if has[next] || reaches(edges, has, next, seen) {
			return true
		}
	}
	return false
}

func TestDifference(t *testing.T) {
	set := rapid.Custom(func(t *rapid.T) []uint32 {
		numbers := rapid.SliceOfDistinct(rapid.Uint32Range(0, 20), func(n uint32) uint32 { return n }).Draw(t, "set")
		slices.Sort(numbers)
		return numbers
	})
	rapid.Check(t, func(t *rapid.T) {
		from, to := set.Draw(t, "from"), set.Draw(t, "to")
		change := Difference(from, to)
		got := slices.DeleteFunc(slices.Clone(from), func(n uint32) bool { return slices.Contains(change.Remove, n) })
		got = append(got, change.Add...)
		slices.Sort(got)
		if !slices.Equal(got, to) || !slices.IsSorted(change.Add) || !slices.IsSorted(change.Remove) {
			t.Fatalf("%v to %v by %+v is %v", from, to, change, got)
		}
	})
}

// The aim is half a second of CPU for 5,000 updates with real rules.
func BenchmarkScan5000(b *testing.B) {
	reg := memory.NewRegistry()
	host := memory.Host{Registry: reg, Files: memory.NewFiles(), System: &rule.System{
		Platform: "windows", Major: 10, Build: 17763, Revision: 316, ProductType: 1, Architecture: "x64", Languages: []string{"de-de"},
	}}
	var all []Update
	for i := range 5000 {
		key := fmt.Sprintf(`SOFTWARE\Maker%d\Product`, i%700)
		if i%3 == 0 {
			reg.SetText(rule.Native, key, "Version", fmt.Sprintf("%d.0.0", i%5))
		}
		where := []string{"Key", "HKEY_LOCAL_MACHINE", "Subkey", key, "Value", "Version"}
		all = append(all, Update{Number: uint32(i), ID: fmt.Sprint("u", i), Body: catalog.Update{
			Relations: catalog.Relations{Supersedes: []string{fmt.Sprint("u", i-700)}},
			Rules: catalog.Rules{Applicable: rule.And(rule.Test(rule.Architecture, "Is", "x64"), rule.Test("RegValueExists", where...),
				rule.Test("WindowsVersion", "Comparison", "GreaterThanOrEqualTo", "MajorVersion", "10", "MinorVersion", "0", "BuildNumber", "10240")), Installed: rule.Or(rule.Test("RegSzToVersion", append(where, "Comparison", "GreaterThanOrEqualTo", "Data", "3.0.0")...),
				rule.Test("FileVersion", "Csidl", "38", "Path", fmt.Sprintf(`Maker%d\product.exe`, i%700), "Version", "3.0.0.0", "Comparison", "GreaterThanOrEqualTo"))},
		}})
	}
	b.ResetTimer()
	for b.Loop() {
		if _, err := New(context.Background(), facts.Machine{}, host.Facts(), NewCatalog(all)); err != nil {
			b.Fatal(err)
		}
	}
}
