package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"thatch/console/api/client"
	"thatch/node/tasks"
)

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, ExitOK},
		{errors.New("no luck"), ExitFailed},
		{Usagef("what?"), ExitUsage},
		{fmt.Errorf("deeper: %w", Usagef("what?")), ExitUsage},
		{errors.New(`unknown command "x" for "thatch"`), ExitUsage},
		{errors.New("accepts 1 arg(s), received 2"), ExitUsage},
		{&client.Error{Code: "not_found"}, ExitNotFound},
		{&client.Error{Code: "conflict"}, ExitConflict},
		{&client.Error{Code: "invalid"}, ExitUsage},
		{&client.Error{Code: "too_large"}, ExitUsage},
		{&client.Error{Code: "unavailable"}, ExitUnavailable},
		{&client.Error{Code: "forbidden"}, ExitFailed},
		{&client.Error{Code: "something new"}, ExitFailed},
		{fmt.Errorf("it: %w", client.ErrNoNode), ExitUnavailable},
		{context.DeadlineExceeded, ExitUnavailable},
		{fmt.Errorf("it: %w", client.ErrUsage), ExitUsage},
		{fmt.Errorf("it: %w", Coded(ExitNotFound, errors.New("not there"))), ExitNotFound},
	} {
		if got := ExitCode(c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
}

func TestParseConfig(t *testing.T) {
	for text, want := range map[string]map[string]string{
		"":                               {},
		"# nothing\n\n  \n":              {},
		"\ufeffdata = /x\r\nlisten=:1\n": {"data": "/x", "listen": ":1"},
		"site=\"A = B\"":                 {"site": "A = B"},
		"languages=en,de":                {"languages": "en,de"},
		`{"languages":["en","de"]}`:      {"languages": "en,de"},
		` {"data":"/x","site":"B"} `:     {"data": "/x", "site": "B"},
	} {
		got, err := parseConfig([]byte(text))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"data":           "line 1",
		"\n\ncolour=red": "line 3",
		"=x":             "line 1",
		`{"colour":"x"}`: "colour",
		`{"data":1}`:     "data",
		`{"data":`:       "JSON",
		`{"data":[1]}`:   "data",
	} {
		if got, err := parseConfig([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want an error with %q", text, got, err, want)
		}
	}
	for name := range variables {
		if !strings.Contains(names(), name) {
			t.Errorf("the message does not name %s", name)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte("data=/x\n# y\nlisten=:1"))
	f.Add([]byte(`{"languages":["en"]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		values, err := parseConfig(text)
		for name := range values {
			if _, known := variables[name]; err == nil && !known {
				t.Errorf("%q is none of ours", name)
			}
		}
	})
}

// TestWhereFlagsComeFrom holds the order: given, environment, file, default.
func TestWhereFlagsComeFrom(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conf")
	if err := os.WriteFile(file, []byte("data=file\nserver=file\ntoken=file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("THATCH_CONFIG", file)
	t.Setenv("THATCH_SERVER", "env")
	t.Setenv("THATCH_TOKEN", "env")
	t.Setenv("THATCH_FINGERPRINT", "")
	a := &App{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}
	root := &cobra.Command{Use: "x", RunE: func(*cobra.Command, []string) error { return nil }}
	a.Bind(root)
	root.SetArgs([]string{"--token", "given"})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	if a.Node.Dir != "file" || a.Node.Server != "env" || a.Node.Token != "given" || a.Node.Fingerprint != "" {
		t.Errorf("%+v", a.Node)
	}
}

// TestAFlagOfTheSameName: the environment and the file mean the flag that every command has, not that of a command's own.
func TestAFlagOfTheSameName(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conf")
	if err := os.WriteFile(file, []byte("token=file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("THATCH_CONFIG", file)
	for _, c := range []struct{ env, args, want, own string }{
		{"", "--token given", "file", "given"},
		{"env", "--token given", "env", "given"},
		{"env", "", "env", ""},
	} {
		t.Setenv("THATCH_TOKEN", c.env)
		a := &App{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}
		root := &cobra.Command{Use: "x"}
		join := &cobra.Command{Use: "join", RunE: func(*cobra.Command, []string) error { return nil }}
		own := join.Flags().String("token", "", "a token of another kind")
		root.AddCommand(join)
		a.Bind(root)
		root.SetArgs(append([]string{"join"}, strings.Fields(c.args)...))
		if err := root.Execute(); err != nil {
			t.Fatal(err)
		}
		if a.Node.Token != c.want || *own != c.own {
			t.Errorf("%+v: the API's token is %q, the command's own %q", c, a.Node.Token, *own)
		}
	}
}

func TestText(t *testing.T) {
	local := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC).Local().Format("2006-01-02 15:04:05")
	for in, want := range map[string]string{
		`null`: "", `true`: "yes", `false`: "no", `12345678901234567890`: "12345678901234567890", `"x"`: "x",
		`["a",1,null]`: "a, 1, ", `"2026-02-03T04:05:06Z"`: local, `"2026-02-03"`: "2026-02-03", `{"a":1}`: `{"a":1}`,
	} {
		var value any
		if err := decodeNumbers([]byte(in), &value); err != nil {
			t.Fatal(err)
		}
		if got := Text(value); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func TestObject(t *testing.T) {
	var out bytes.Buffer
	in := `{"name":"x","empty":"","none":null,"list":[],"inner":{"a_b":1},"rows":[{"k":1},{"k":"two\u001b[2J"}],"tags":["a","b"]}`
	if err := Object(&out, json.RawMessage(in)); err != nil {
		t.Fatal(err)
	}
	want := "name:                    x\ninner:\n  a b:                   1\nrows:\n  k:                     1\n  -\n" +
		"  k:                     two [2J\ntags:                    a, b\n"
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}
	for _, bad := range []string{``, `{`, `{"a":`, `{"a":[{]}`} {
		if err := Object(&bytes.Buffer{}, json.RawMessage(bad)); err == nil && bad != `` {
			t.Errorf("%q was printed", bad)
		}
	}
}

func TestPrintPage(t *testing.T) {
	l := Listing{Heads: []string{"NAME", "INNER"}, Keys: []string{"name", "a.b"}}
	for in, want := range map[string]string{
		`{"items":[],"total":0,"page":1,"limit":100}`:                                            "none\n",
		`{"items":[{"name":"x\ny","a":{"b":7}},{"name":"longer"}],"total":5,"page":2,"limit":2}`: "NAME    INNER\nx y     7\nlonger  \n2 of 5; go on with --page 3\n",
	} {
		var out bytes.Buffer
		if err := printPage(&out, l, json.RawMessage(in)); err != nil || out.String() != want {
			t.Errorf("%s:\n%s\n%v", in, out.String(), err)
		}
	}
	for _, bad := range []string{`[]`, `{"items":[1]}`, ``} {
		if err := printPage(&bytes.Buffer{}, l, json.RawMessage(bad)); err == nil {
			t.Errorf("%q was printed", bad)
		}
	}
}

func TestFigures(t *testing.T) {
	for _, c := range []struct {
		at   tasks.Progress
		want string
	}{
		{tasks.Progress{}, ""},
		{tasks.Progress{Done: 3, Unit: "files"}, "3 files"},
		{tasks.Progress{Done: 5_000_000, Total: 20_000_000, Unit: "bytes", Text: "a\tb"}, "25 %  5.0 MB of 20.0 MB  a b"},
		{tasks.Progress{Done: 9, Total: 3}, "100 %  9 of 3"},
		{tasks.Progress{Done: -1, Total: 3}, "0 %  -1 of 3"},
		{tasks.Progress{Text: "thinking"}, "thinking"},
	} {
		if got := figures(c.at); got != c.want {
			t.Errorf("%+v: %q, want %q", c.at, got, c.want)
		}
		if drawn := bar(c.at); len([]rune(drawn)) > 79 {
			t.Errorf("%+v: a bar of %d", c.at, len(drawn))
		}
	}
	if got := bar(tasks.Progress{Done: 1, Total: 2, Text: strings.Repeat("ä", 200)}); len([]rune(got)) != 79 || !strings.HasPrefix(got, "[###############....") {
		t.Errorf("%q", got)
	}
}

func TestProgressElsewhereThanOnATerminal(t *testing.T) {
	var out bytes.Buffer
	p := &progress{app: &App{Err: &out}}
	p.show(tasks.Run{Progress: tasks.Progress{Done: 1, Total: 2}, Lines: []tasks.Line{{Text: "hello\x1b[2J"}}})
	p.show(tasks.Run{Progress: tasks.Progress{Done: 2, Total: 2}})
	p.clear()
	if got := out.String(); got != "hello [2J\n50 %  1 of 2\n" {
		t.Errorf("%q", got)
	}
}

func TestCopyFlags(t *testing.T) {
	make := func() (*cobra.Command, *[]string, *int) {
		cmd := &cobra.Command{Use: "x"}
		return cmd, cmd.Flags().StringArray("filter", nil, ""), cmd.Flags().Int("limit", 7, "")
	}
	from, _, _ := make()
	to, filter, limit := make()
	if err := from.ParseFlags([]string{"--filter", "a=b,c", "--filter", "d=e"}); err != nil {
		t.Fatal(err)
	}
	if err := CopyFlags(from, to); err != nil || fmt.Sprint(*filter) != "[a=b,c d=e]" || len(*filter) != 2 || *limit != 7 {
		t.Errorf("%q, %d, %v", *filter, *limit, err)
	}
}

func TestDefaultDir(t *testing.T) {
	if dir := DefaultDir(); dir == "" {
		t.Error("there is none")
	}
	t.Setenv("XDG_STATE_HOME", "relative")
	if dir := DefaultDir(); dir == filepath.Join("relative", "thatch") {
		t.Error("a relative XDG_STATE_HOME counts")
	}
}
