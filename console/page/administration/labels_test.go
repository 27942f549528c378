package administration_test

import (
	"reflect"
	"strings"
	"testing"

	"thatch/console/page/words"
	"thatch/node"
	"thatch/node/bulletins/staging"
	"thatch/node/bulletins/stock"
	"thatch/node/imports"
	"thatch/replication/round"
)

// TestResultsHaveTheirGerman: what comes of runs, and what they are started with, is shown by the names of its JSON.
func TestResultsHaveTheirGerman(t *testing.T) {
	german := words.For("de")
	seen := map[reflect.Type]bool{}
	var walk func(is reflect.Type)
	walk = func(is reflect.Type) {
		for is.Kind() == reflect.Pointer || is.Kind() == reflect.Slice || is.Kind() == reflect.Map {
			is = is.Elem()
		}
		if is.Kind() != reflect.Struct || seen[is] || is.PkgPath() == "time" {
			return
		}
		seen[is] = true
		for _, f := range reflect.VisibleFields(is) {
			walk(f.Type)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" || name == "-" {
				continue
			}
			label := strings.ToUpper(name[:1]) + strings.ReplaceAll(name[1:], "_", " ")
			if !german.Has(label) {
				t.Errorf("%s: there is no German for %q", is, label)
			}
		}
	}
	for _, result := range []any{
		imports.Imported{}, imports.Import{}, node.Disk{}, staging.Result{}, stock.Verified{}, stock.Imported{}, stock.Exported{}, round.Result{}, round.Params{},
	} {
		walk(reflect.TypeOf(result))
	}
}
