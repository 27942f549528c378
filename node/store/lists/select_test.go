package lists_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"thatch/node/store/lists"
)

type fruit struct {
	name   string
	weight int
	price  float64
	ripe   bool
	colour []string
}

var fruits = []fruit{
	{"Apple", 150, 0.5, true, []string{"green", "red"}},
	{"banana", 120, 0.25, false, []string{"yellow"}},
	{"Cherry_x", 8, 0.1, true, nil},
	{"date", 8, 2, false, []string{"brown"}},
}

var fruitColumns = []lists.Column[fruit]{
	{Name: "name", Value: func(f fruit) any { return f.name }, Search: true},
	{Name: "weight", Value: func(f fruit) any { return f.weight }},
	{Name: "price", Value: func(f fruit) any { return f.price }},
	{Name: "ripe", Value: func(f fruit) any { return f.ripe }},
	{Name: "colour", Value: func(f fruit) any { return f.colour }, Search: true},
}

func pick(t *testing.T, q lists.Query) (string, int) {
	t.Helper()
	page, total, err := lists.Select(q, fruits, fruitColumns)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, f := range page {
		list = append(list, f.name)
	}
	return strings.Join(list, " "), total
}

func TestSelect(t *testing.T) {
	for _, c := range []struct{ filter, want string }{
		{"name=APPLE", "Apple"},
		{"name=apple,date", "Apple date"},
		{"name=!apple", "banana Cherry_x date"},
		{"name=b*", "banana"},
		{"name=cherry_*", "Cherry_x"},
		{"name=!*", ""},
		{"name=<b", "Apple"},
		{"name=>c", "Cherry_x date"},
		{"weight=8", "Cherry_x date"},
		{"weight=>9", "Apple banana"},
		{"weight=<120", "Cherry_x date"},
		{"weight=1*", "Apple banana"},
		{"weight=heavy", ""},
		{"price=>0.3", "Apple date"},
		{"price=0.10", "Cherry_x"},
		{"ripe=yes", "Apple Cherry_x"},
		{"ripe=false", "banana date"},
		{"ripe=!1", "banana date"},
		{"ripe=maybe", ""},
		{"colour=red", "Apple"},
		{"colour=!red", "banana Cherry_x date"},
		{"colour=", "Cherry_x"},
		{"colour=>r", "Apple banana"},
	} {
		name, value, _ := strings.Cut(c.filter, "=")
		if got, total := pick(t, lists.Query{Filter: map[string]string{name: value}}); got != c.want || total != len(strings.Fields(c.want)) {
			t.Errorf("%s: %q of %d, want %q", c.filter, got, total, c.want)
		}
	}
	for search, want := range map[string]string{"RED": "Apple", "a e": "Apple banana date", "": "Apple banana Cherry_x date", "_": "Cherry_x", "%": ""} {
		if got, _ := pick(t, lists.Query{Search: search}); got != want {
			t.Errorf("search %q: %q, want %q", search, got, want)
		}
	}
	for _, c := range []struct {
		sort       string
		descending bool
		want       string
	}{
		{"name", false, "Apple banana Cherry_x date"},
		{"name", true, "date Cherry_x banana Apple"},
		{"weight", false, "Cherry_x date banana Apple"},
		{"weight", true, "Apple banana Cherry_x date"},
		{"price", false, "Cherry_x banana Apple date"},
		{"ripe", true, "Apple Cherry_x banana date"},
		{"colour", false, "Cherry_x date Apple banana"},
	} {
		if got, _ := pick(t, lists.Query{Sort: c.sort, Descending: c.descending}); got != c.want {
			t.Errorf("sort %s %v: %q, want %q", c.sort, c.descending, got, c.want)
		}
	}
	if fruits[0].name != "Apple" {
		t.Error("the rows given were sorted in place")
	}
	for _, q := range []lists.Query{{Sort: "taste"}, {Filter: map[string]string{"taste": "x"}}} {
		if _, _, err := lists.Select(q, fruits, fruitColumns); !errors.Is(err, lists.ErrInvalid) || !strings.Contains(err.Error(), "colour, name, price, ripe, weight") {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

func TestGroupBy(t *testing.T) {
	groups, err := lists.GroupBy(lists.Query{Filter: map[string]string{"name": "!date"}}, fruits, fruitColumns, "colour")
	if err != nil || fmt.Sprint(groups) != "[{green 1} {red 1} {yellow 1}]" {
		t.Errorf("%v, %v", groups, err)
	}
	groups, err = lists.GroupBy(lists.Query{}, fruits, fruitColumns, "ripe")
	if err != nil || fmt.Sprint(groups) != "[{true 2} {false 2}]" {
		t.Errorf("%v, %v", groups, err)
	}
	if _, err := lists.GroupBy(lists.Query{}, fruits, fruitColumns, "taste"); !errors.Is(err, lists.ErrInvalid) {
		t.Errorf("an unknown column: %v", err)
	}
	if got := lists.ColumnNames(fruitColumns); !slices.Equal(got, []string{"name", "weight", "price", "ripe", "colour"}) {
		t.Errorf("names %v", got)
	}
}

// Pages of any size, put together, are the whole list.
func TestSelectPages(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		rows := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) fruit {
			return fruit{name: rapid.StringMatching("[a-c]{0,2}").Draw(r, "name"), weight: rapid.IntRange(0, 3).Draw(r, "weight")}
		}), 0, 30).Draw(r, "rows")
		q := lists.Query{Sort: rapid.SampledFrom([]string{"", "name", "weight"}).Draw(r, "sort"), Descending: rapid.Bool().Draw(r, "descending")}
		if rapid.Bool().Draw(r, "filtered") {
			q.Filter = map[string]string{"weight": rapid.SampledFrom([]string{">0", "!1", "2"}).Draw(r, "filter")}
		}
		all, total, err := lists.Select(q, rows, fruitColumns)
		if err != nil || total != len(all) {
			r.Fatalf("%d rows of %d, %v", len(all), total, err)
		}
		q.Limit = rapid.IntRange(1, 7).Draw(r, "limit")
		var together []fruit
		for {
			page, _, err := lists.Select(q, rows, fruitColumns)
			if err != nil {
				r.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			together = append(together, page...)
			q.Offset += q.Limit
		}
		if fmt.Sprint(together) != fmt.Sprint(all) && len(all) > 0 {
			r.Fatalf("pages %v, whole %v", together, all)
		}
	})
}

// A page of a large list is what sorting all of it would give.
func TestSelectLeadingRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfN(rapid.IntRange(0, 30), 0, 200).Draw(t, "rows")
		q := lists.Query{Sort: "n", Descending: rapid.Bool().Draw(t, "descending"), Offset: rapid.IntRange(0, 20).Draw(t, "offset"), Limit: rapid.IntRange(1, 20).Draw(t, "limit")}
		type row struct{ n, at int }
		var list []row
		for at, n := range rows {
			list = append(list, row{n, at})
		}
		page, total, err := lists.Select(q, list, []lists.Column[row]{{Name: "n", Value: func(r row) any { return r.n }}})
		if err != nil || total != len(rows) {
			t.Fatal(total, err)
		}
		slices.SortStableFunc(list, func(a, b row) int {
			if q.Descending {
				return b.n - a.n
			}
			return a.n - b.n
		})
		from := min(q.Offset, len(list))
		if want := list[from:min(from+q.Limit, len(list))]; !slices.Equal(page, want) {
			t.Fatalf("page %v, want %v", page, want)
		}
	})
}
