package rows_test

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"thatch/node/store"
	"thatch/node/store/rows"
	"thatch/node/store/storetest"
)

type listed struct {
	name, value string
	version     int
}

var settingColumns = rows.Columns{
	From:  `name, value, version FROM setting`,
	Names: map[string]string{"name": "name", "value": "value", "version": "version", "odd": "version % 2"},
	Kinds: map[string]store.Kind{"odd": store.Flag, "version": store.Number}, Search: []string{"name", "value"}, Order: "name",
}

func listSettings(t testing.TB, db *store.DB, q store.Query) ([]listed, int, error) {
	return rows.List(t.Context(), db, q, settingColumns,
		func(row *sql.Rows) (s listed, err error) { return s, row.Scan(&s.name, &s.value, &s.version) })
}

func fillSettings(t testing.TB, db *store.DB, all []listed) {
	t.Helper()
	b := store.Batch{Reason: "fill"}
	for _, s := range all {
		b.Statements = append(b.Statements, store.Statement{
			SQL: `INSERT INTO setting (name, value, version) VALUES (?, ?, ?)`, Args: []any{s.name, s.value, s.version},
		})
	}
	if _, err := db.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func TestQueryFilters(t *testing.T) {
	db := storetest.Open(t)
	fillSettings(t, db, []listed{
		{"alpha", "Red", 1}, {"beta", "blue", 2}, {"gamma_1", "100%", 3}, {"gamma21", "100 x", 10}, {"007", "a,b", 7}, {"7", `back\slash`, 7},
	})
	for _, c := range []struct {
		filter map[string]string
		search string
		want   string
	}{
		{nil, "", "007 7 alpha beta gamma21 gamma_1"},
		{map[string]string{"value": "red"}, "", "alpha"},
		{map[string]string{"value": "!red"}, "", "007 7 beta gamma21 gamma_1"},
		{map[string]string{"name": "alpha,beta"}, "", "alpha beta"},
		{map[string]string{"name": "gamma_*"}, "", "gamma_1"},
		{map[string]string{"name": "!gamma*"}, "", "007 7 alpha beta"},
		{map[string]string{"name": "7"}, "", "7"},
		{map[string]string{"name": "007"}, "", "007"},
		{map[string]string{"version": ">3"}, "", "007 7 gamma21"},
		{map[string]string{"version": "<3"}, "", "alpha beta"},
		{map[string]string{"version": "7", "name": "007"}, "", "007"},
		{map[string]string{"version": "!>3"}, "", "alpha beta gamma_1"},
		{map[string]string{"odd": "yes"}, "", "007 7 alpha gamma_1"},
		{map[string]string{"odd": "False"}, "", "beta gamma21"},
		{map[string]string{"odd": "0"}, "", "beta gamma21"},
		{map[string]string{"name": ""}, "", ""},
		{nil, "100%", "gamma_1"},
		{nil, "_", "gamma_1"},
		{nil, `\`, "7"},
		{nil, "RED alp", "alpha"},
		{nil, "red beta", ""},
		{map[string]string{"name": "'; DROP TABLE setting; --"}, "", ""},
	} {
		got, total, err := listSettings(t, db, store.Query{Filter: c.filter, Search: c.search})
		if err != nil {
			t.Fatalf("%v %q: %v", c.filter, c.search, err)
		}
		var names []string
		for _, s := range got {
			names = append(names, s.name)
		}
		if strings.Join(names, " ") != c.want || total != len(got) {
			t.Errorf("%v %q: %v (total %d), want %s", c.filter, c.search, names, total, c.want)
		}
	}
	for _, bad := range []store.Query{{Sort: "colour"}, {Filter: map[string]string{"1=1 OR name": "x"}}, {Sort: "name; DROP TABLE setting"}} {
		if _, _, err := listSettings(t, db, bad); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "name, odd, value, version") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestPagesPartition: however a list is sorted and cut, its pages hold every row once, in order.
func TestPagesPartition(t *testing.T) {
	db := storetest.Open(t)
	var all []listed
	for i := range 60 {
		all = append(all, listed{fmt.Sprintf("n%02d", i), fmt.Sprint(i % 4), i % 7})
	}
	fillSettings(t, db, all)
	rapid.Check(t, func(rt *rapid.T) {
		q := store.Query{
			Sort:       rapid.SampledFrom([]string{"", "name", "value", "version"}).Draw(rt, "sort"),
			Descending: rapid.Bool().Draw(rt, "descending"), Limit: rapid.IntRange(1, 70).Draw(rt, "limit"),
		}
		if rapid.Bool().Draw(rt, "filtered") {
			q.Filter = map[string]string{"value": rapid.SampledFrom([]string{"1", "!1", "1,2", ">1"}).Draw(rt, "filter")}
		}
		whole, total, err := listSettings(t, db, store.Query{Sort: q.Sort, Descending: q.Descending, Filter: q.Filter})
		if err != nil || total != len(whole) {
			rt.Fatalf("%d of %d, %v", len(whole), total, err)
		}
		var joined []listed
		for ; q.Offset < total; q.Offset += q.Limit {
			page, again, err := listSettings(t, db, q)
			if err != nil || again != total || len(page) > q.Limit {
				rt.Fatalf("page of %d, total %d, %v", len(page), again, err)
			}
			joined = append(joined, page...)
		}
		if !slices.Equal(joined, whole) {
			rt.Fatalf("%+v: the pages are not the list", q)
		}
	})
}

// Text order is time order, whatever the fractions and zones, and texts of either precision are read.
func TestStampsAreOrdered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) time.Time {
			zone := time.FixedZone("", rapid.IntRange(-12, 14).Draw(t, name+" zone")*3600)
			return time.UnixMilli(rapid.Int64Range(0, 4e12).Draw(t, name)).In(zone)
		}
		a, b := draw("a"), draw("b")
		if got, want := strings.Compare(rows.Stamp(a), rows.Stamp(b)), a.Compare(b); got != want {
			t.Fatalf("%s and %s compare as %d, want %d", rows.Stamp(a), rows.Stamp(b), got, want)
		}
		for _, text := range []string{rows.Stamp(a), a.Format(time.RFC3339Nano)} {
			if !rows.Unstamp(text).Equal(a) {
				t.Fatalf("%s is read as %s", text, rows.Unstamp(text))
			}
		}
	})
	if text := rows.Stamp(time.Time{}); text != "" || !rows.Unstamp(text).IsZero() {
		t.Errorf("no time is written %q", text)
	}
}
