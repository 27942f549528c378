package lists_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"thatch/node/store/lists"
)

func TestFiltersThatNoValueCanFit(t *testing.T) {
	for _, c := range []struct {
		kind lists.Kind
		ok   string // separated by spaces; "_" is the empty filter
		bad  string
	}{
		{lists.Number, "5 -1 2.5 >5 <-2 !5 !>5 1,2,3 1e3", "_ x >x 5x 5,x 5, <> >=5 5* NaN Inf ! !!"},
		{lists.Flag, "yes NO true false 1 0 !yes yes,no", "_ maybe >yes 2 yes* y,"},
		{
			lists.Time, "_ never Never 2026 2026-03 2026-03-31 2026-03-31T08:00Z >2026-03 <2026-03-31 !2026 2026-03* 2026-03-01,2026-03-02 " +
				"2026-03-31T08:00:01.5+02:00 2026-02,never",
			"yesterday 2026-13 2026-02-30 2026-3 31.12.2026 >soon 2026x* 2026,x 2026-03-31T25:00",
		},
	} {
		for _, wanted := range strings.Fields(c.ok) {
			if _, err := c.kind.Plain("col", strings.Trim(wanted, "_")); err != nil {
				t.Errorf("%s %q: %v", c.kind, wanted, err)
			}
		}
		for _, wanted := range strings.Fields(c.bad) {
			_, err := c.kind.Plain("col", strings.Trim(wanted, "_"))
			if !errors.Is(err, lists.ErrInvalid) || !strings.Contains(err.Error(), `"col"`) {
				t.Errorf("%s %q: %v, want a refusal that names the column", c.kind, wanted, err)
			}
		}
	}
	if plain, err := lists.Text.Plain("col", ">x*,!"); err != nil || plain != ">x*,!" {
		t.Errorf("text is taken as it is: %q, %v", plain, err)
	}
}

func TestTimesAreSelectedByWhatWasSaid(t *testing.T) {
	rows := []string{"", "Never", "2025-12-31T23:59:59.000Z", "2026-03-31T08:00:00.000Z", "2026-03-31T08:00:01Z", "2026-04-01T00:00:00.000Z", "2026-04-02"}
	columns := []lists.Column[string]{{Name: "at", Kind: lists.Time, Value: func(s string) any { return s }}}
	for wanted, want := range map[string][]int{
		"": {0, 1}, "never": {0, 1}, "!never": {2, 3, 4, 5, 6}, "2026": {3, 4, 5, 6}, "2026-03": {3, 4}, "2026-03-31": {3, 4},
		"2026-03-31T08:00Z": {3, 4}, "2026-03-31 08:00": {3, 4}, "2026-03-31T10:00:01+02:00": {4}, ">2026-03-31": {3, 4, 5, 6},
		">2026-04-01": {5, 6}, "<2026-01-01": {0, 1, 2}, ">never": {2, 3, 4, 5, 6}, "2025,2026-04-01": {2, 5}, "2026-04*": {5, 6}, "!2026": {0, 1, 2},
	} {
		got, total, err := lists.Select(lists.Query{Filter: map[string]string{"at": wanted}}, rows, columns)
		if err != nil || total != len(want) {
			t.Errorf("%q: %q, %v, want %v", wanted, got, err, want)
			continue
		}
		for i, at := range want {
			if !slices.Contains(got, rows[at]) || got[i] != rows[at] {
				t.Errorf("%q: %q, want %v", wanted, got, want)
			}
		}
	}
}

// Numbers are compared as numbers, whole or not; garbage is refused though no row is there.
func TestNumbersAreSelectedAsNumbers(t *testing.T) {
	columns := []lists.Column[int]{{Name: "n", Kind: lists.Number, Value: func(n int) any { return n }}}
	rows := []int{1, 2, 9, 10}
	for wanted, want := range map[string]int{">1.5": 3, "<10": 3, "9.0": 1, "!>9": 3, "1,10": 2, "1e1": 1} {
		if _, total, err := lists.Select(lists.Query{Filter: map[string]string{"n": wanted}}, rows, columns); err != nil || total != want {
			t.Errorf("%q fits %d (%v), want %d", wanted, total, err, want)
		}
	}
	if _, _, err := lists.Select(lists.Query{Filter: map[string]string{"n": "many"}}, nil, columns); !errors.Is(err, lists.ErrInvalid) {
		t.Errorf("of an empty list: %v", err)
	}
	if _, err := lists.GroupBy(lists.Query{Filter: map[string]string{"n": "many"}}, rows, columns, "n"); !errors.Is(err, lists.ErrInvalid) {
		t.Errorf("of groups: %v", err)
	}
}
