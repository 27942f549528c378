package api_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"thatch/console/api"
	apicatalog "thatch/console/api/catalog"
	"thatch/console/api/reports"
	"thatch/node/identity"
	"thatch/node/policies"
	"thatch/node/policies/windows"
	"thatch/schedule"
)

// columnsUnseen are columns that no row shows under their name, or shows as another type, by what they are.
var columnsUnseen = map[string]string{
	"severity_rank": "number", "cve": "text", "latest": "flag", "no_rule": "flag", "retired": "flag", "doubt": "flag", "open": "flag",
	"complete": "flag", "ended": "time", "order": "number",
}

// seenAs tells from a row's JSON what a column is: text, number, flag, time; "" where the row does not say.
func seenAs(value any) string {
	switch v := value.(type) {
	case float64:
		return "number"
	case bool:
		return "flag"
	case string:
		for _, layout := range []string{time.RFC3339, "2006-01-02", "2006-01"} {
			if _, err := time.Parse(layout, v); err == nil {
				return "time"
			}
		}
		if v != "" && v != "Never" {
			return "text"
		}
	case []any:
		return "text"
	}
	return ""
}

// Every list of the API refuses, for every column that holds numbers, times, or yes and no, what these can never be, and
// says what it takes; whatever a row shows is found by filtering for it.
func TestEveryColumnOfEveryList(t *testing.T) {
	o := newOrdering(t)
	stockLists(t, o)
	lists := 0
	for _, route := range append(api.Routes(o.Node), reports.Routes(o.Node)...) {
		if route.Columns == nil || slices.Contains(route.Needs, "of") {
			continue
		}
		lists++
		path := route.Path
		switch {
		case strings.HasPrefix(path, "/computers/{id}"):
			path = strings.Replace(path, "{id}", o.computer, 1)
		case strings.HasPrefix(path, "/compliance/updates/{id}"):
			path = strings.Replace(path, "{id}", "1", 1)
		}
		t.Run(route.Path, func(t *testing.T) {
			fixed := url.Values{}
			for _, need := range route.Needs {
				fixed.Set(need, route.Columns[0])
			}
			row := firstRow(t, o, path, fixed)
			for _, column := range route.Columns {
				tryColumn(t, o, path, fixed, column, row)
			}
		})
	}
	if lists < 15 {
		t.Errorf("%d lists were tried", lists)
	}
}

// stockLists gives every list a row.
func stockLists(t *testing.T, o *ordering) {
	t.Helper()
	ctx := t.Context()
	if err := o.Post(ctx, "/policies", policies.Draft{Name: "p", Bulletins: []string{"KB1"}}, nil); err != nil {
		t.Fatal(err)
	}
	window := windows.Body{Window: schedule.Window{
		Name: "nights", Repeat: schedule.Daily, Start: "22:00", Minutes: 90,
	}}
	if err := o.Post(ctx, "/windows", window, nil); err != nil {
		t.Fatal(err)
	}
	if err := o.Post(ctx, "/severities", apicatalog.NewSeverity{Name: "Ours"}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Identity.NewEnrolmentToken(ctx, identity.EnrolmentToken{Name: "t", Limit: 3, Expires: o.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Identity.NewAPIToken(ctx, identity.APIToken{Name: "a", Scope: identity.Viewer, Expires: o.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
}

func firstRow(t *testing.T, o *ordering, path string, fixed url.Values) map[string]any {
	t.Helper()
	var answer json.RawMessage
	if err := o.Get(t.Context(), path, fixed, &answer); err != nil {
		t.Fatal(err)
	}
	var list api.List[map[string]any]
	if err := json.Unmarshal(answer, &list); err != nil || len(list.Items) == 0 {
		return nil // groups, or no row
	}
	return list.Items[0]
}

func tryColumn(t *testing.T, o *ordering, path string, fixed url.Values, column string, row map[string]any) {
	t.Helper()
	ask := func(name, value string) (int, error) {
		args := url.Values{name: {value}}
		for key := range fixed {
			if key != name {
				args[key] = fixed[key]
			}
		}
		var raw json.RawMessage
		if err := o.Get(t.Context(), path, args, &raw); err != nil {
			return 0, err
		}
		var list struct{ Total int }
		_ = json.Unmarshal(raw, &list) // groups are no list of rows
		return list.Total, nil
	}
	if _, err := ask("sort", column); err != nil && fixed.Get("by") == "" {
		t.Errorf("sorted by %s: %v", column, err)
	}
	kind := seenAs(row[column])
	if kind == "" {
		kind = columnsUnseen[column]
	}
	for _, garbage := range []string{"garbage", ">garbage", "!garbage", "1,garbage"} {
		_, err := ask(column, garbage)
		switch {
		case kind == "number", kind == "flag", kind == "time":
			wantStatus(t, fmt.Sprintf("%s (%s) filtered by %q", column, kind, garbage), err, 400)
			if err != nil && (!strings.Contains(err.Error(), column) || !strings.Contains(err.Error(), "it takes")) {
				t.Errorf("%s filtered by %q: the error does not say what is allowed: %v", column, garbage, err)
			}
		case kind == "text" && err != nil:
			t.Errorf("text %s filtered by %q: %v", column, garbage, err)
		}
	}
	text := fmt.Sprint(row[column])
	switch kind {
	case "number", "flag", "time", "text":
	default:
		return
	}
	if kind == "text" && strings.ContainsAny(text, ",*[") || columnsUnseen[column] != "" || row[column] == nil || text == "" {
		return
	}
	if n, err := ask(column, text); err != nil || n == 0 {
		t.Errorf("%s is %q in a row, and filtered by that has %d rows, %v", column, text, n, err)
	}
	if kind != "time" {
		return
	}
	if n, err := ask(column, text[:7]); err != nil || n == 0 {
		t.Errorf("%s is %q in a row, and filtered by its month has %d rows, %v", column, text, n, err)
	}
}
