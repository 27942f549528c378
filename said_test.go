package thatch_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"thatch/console/page/words"
)

// sayers are the functions that make texts which reach a page, with the argument that is the format, by rooms ("" all of
// those in saying). A new one belongs here.
var sayers = []struct {
	room, name string
	arg        int
}{
	{"", "Invalid", 0},
	{"", "Conflicting", 0},
	{"", "Forbidden", 0},
	{"", "Outside", 0},
	{"", "NotFound", 0},
	{"", "NoLink", 0},
	{"", "job.Log", 0},
	{"node/sites", "Refuse", 1},
	{"replication/server", "Refuse", 1},
	{"replication/server", "busy", 1},
	{"node/operators", "Unauthorised", 0},
	{"console/api", "Unauthorised", 0},
	{"node/operators/signin.go", "fmt.Errorf", 0},
	{"node/operators/session.go", "fmt.Errorf", 0},
	{"agent/stand.go", "says", 1},
	{"node/sites/alarms.go", "Sprintf", 0},
	{"node/sites/told.go", "Sprintf", 0},
	{"node/settings", "errors.New", 0},
	{"node/settings", "fmt.Errorf", 0},
	{"schedule", "fmt.Errorf", 0},
	{"schedule", "errors.New", 0},
	{"catalog/policy", "fmt.Errorf", 0},
	{"catalog/policy", "errors.New", 0},
	{"node/policies/contents", "problem", 0},
	{"node/policies/contents", "Sprintf", 0},
	{"node/policies/show.go", "add", 0},
	{"node/policies/show.go", "append", 1},
	{"node/policies/show.go", "Sprintf", 0},
	{"node/policies/outlook", "add", 0},
	{"node/policies/above", "Sprintf", 0},
	{"node/policies/authoring", "Sprintf", 0},
	{"node/policies/authoring", "fmt.Errorf", 0},
	{"node/policies/orders.go", "Sprintf", 0},
	{"node/policies/windows", "Sprintf", 0},
	{"node/computers", "say", 1},
	{"node/bulletins/staging", "fail", 1},
	{"node/bulletins/staging", "Sprintf", 0},
	{"catalog/rule", "unknown", 0},
	{"catalog/rule", "saw", 0},
	{"catalog/rule", "unread", 0},
	{"catalog/rule", "asRead", 3},
	{"replication/verify.go", "note", 0},
	{"replication", "complete", 1},
	{"replication/timing", "Sprintf", 0},
	{"replication/payloads", "Sprintf", 0},
	{"node", "write", 1},
	{"node", "writeAs", 2},
	{"node", "cfg.Write", 1},
	{"node", "put", 1},
	{"node", "changeRules", 1},
	{"node", "replace", 1},
	{"node", "decide", 1},
	{"node", "mended", 1},
	{"node", "writeOne", 1},
	{"replication/link.go", "fmt.Errorf", 0},
	{"replication/joining", "fmt.Errorf", 0},
	{"node/tasks", "errors.New", 0},
}

// fields are members of values that reach a page; saying the rooms whose texts do.
var (
	fields = []string{"Text", "Advice", "Sentence", "Why", "Waits", "Problem", "Reason"}
	saying = []string{"node", "console/api", "replication", "schedule", "catalog/policy", "catalog/rule", "agent/stand.go"}
)

// elsewhere are rooms below those that say nothing to a page: what they say is for a log, an agent or a command line.
var elsewhere = []string{
	"node/store/batch", "node/quorum", "node/check", "node/config.go", "node/identity/authority.go", "node/identity/neighbours.go", "node/computers/enrol.go", "node/membership/door.go", "node/membership/join.go", "node/membership/renew.go",
	"console/api/client", "console/api/openapi.go", "catalog/rule/memory", "catalog/rule/wql", "catalog/rule/expression",
}

func within(path, room string) bool { return path == room || strings.HasPrefix(path, room+"/") }

// said calls a function with every format that reaches a page, and where it stands.
func said(t *testing.T, call func(format, where string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := filepath.ToSlash(path)
		in := func(room string) bool { return within(rel, room) }
		if entry.IsDir() {
			if strings.HasSuffix(rel, "test") || slices.ContainsFunc(elsewhere, in) {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(rel) != ".go" || strings.HasSuffix(rel, "_test.go") || !slices.ContainsFunc(saying, in) || slices.ContainsFunc(elsewhere, in) {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		formats(file, in, func(format string, at token.Pos) { call(format, fmt.Sprintf("%s:%d", rel, set.Position(at).Line)) })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// formats finds the formats of a file.
func formats(file *ast.File, in func(room string) bool, found func(format string, at token.Pos)) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			called := name(n.Fun)
			for _, s := range sayers {
				if (called == s.name || strings.HasSuffix(called, "."+s.name)) && (s.room == "" || in(s.room)) && s.arg < len(n.Args) {
					literals(n.Args[s.arg], found)
				}
			}
		case *ast.CompositeLit:
			if of := name(n.Type); in("console/api") && !strings.HasSuffix(of, "Error") && of != "Standing" {
				return true // parameters, for the description of the API
			}
			for _, member := range n.Elts {
				if pair, ok := member.(*ast.KeyValueExpr); ok && slices.Contains(fields, name(pair.Key)) {
					literals(pair.Value, found)
				}
			}
		}
		return true
	})
}

// literals finds the format of an expression: a text, texts that are added, a call of Sprintf.
func literals(e ast.Expr, found func(format string, at token.Pos)) {
	if format, ok := literal(e); ok {
		if letters.MatchString(format) && !strings.HasPrefix(format, "SELECT") && !strings.Contains(format, " = ?") {
			found(format, e.Pos())
		}
		return
	}
	if call, ok := e.(*ast.CallExpr); ok && strings.HasSuffix(name(call.Fun), "Sprintf") {
		literals(call.Args[0], found)
	}
}

var letters = regexp.MustCompile(`[a-z]{3}`)

// literal is a text, with %s for what is added to it.
func literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		left, one := literal(e.X)
		right, two := literal(e.Y)
		switch {
		case e.Op != token.ADD || !one && !two:
			return "", false
		case !one:
			left = "%s"
		case !two:
			right = "%s"
		}
		return left + right, true
	}
	return "", false
}

func name(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.SelectorExpr:
		return name(e.X) + "." + e.Sel.Name
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// TestEverythingSaidHasItsGerman finds what the node says to pages in its sources.
func TestEverythingSaidHasItsGerman(t *testing.T) {
	german := words.For("de")
	found := map[string]bool{}
	said(t, func(format, where string) {
		if !found[format] && !german.Has(format) {
			t.Errorf("%s: there is no German for %q; give it in console/page/words/de/said-*.json", where, format)
		}
		found[format] = true
	})
	if len(found) < 300 {
		t.Errorf("only %d texts were found: the rules of this test fit no longer", len(found))
	}
}
