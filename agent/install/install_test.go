package install

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"thatch/catalog"
)

func TestRead(t *testing.T) {
	exe := catalog.Installer{Type: catalog.EXE, DefaultResult: catalog.Failed, Codes: []catalog.ReturnCode{
		{Code: 0, Result: catalog.Succeeded},
		{Code: 8, Result: catalog.Succeeded, Restart: true},
		{Code: -2147023293, Result: catalog.Cancelled, Text: "fatal"},
		{Code: 3010, Result: catalog.Failed, Text: "not this time"},
	}}
	lenient := catalog.Installer{Type: catalog.EXE, DefaultResult: catalog.Succeeded, DefaultRestart: true}
	bare := catalog.Installer{Type: catalog.EXE}
	msi := catalog.Installer{Type: catalog.MSI, DefaultResult: catalog.Failed, Codes: []catalog.ReturnCode{{Code: 1638, Result: catalog.Succeeded}}}
	for _, c := range []struct {
		name      string
		installer catalog.Installer
		code      int
		want      catalog.Result
		restart   bool
		text      string
	}{
		{"listed", exe, 0, catalog.Succeeded, false, ""},
		{"listed with restart", exe, 8, catalog.Succeeded, true, ""},
		{"unsigned form of a listed code", exe, 0x80070643, catalog.Cancelled, false, "the installer returned -2147023293: fatal"},
		{"the package's word counts before the documented one", exe, 3010, catalog.Failed, false, "the installer returned 3010: not this time"},
		{"not listed", exe, 1641, catalog.Failed, false, "the installer returned 1641 (0x00000669)"},
		{"default success", lenient, 7, catalog.Succeeded, true, ""},
		{"no word at all, 0", bare, 0, catalog.Succeeded, false, ""},
		{"no word at all, 3010", bare, 3010, catalog.Succeeded, true, "a restart is required"},
		{"no word at all, 1", bare, 1, catalog.Failed, false, "the installer returned 1 (0x00000001)"},
		{"msi success", msi, 0, catalog.Succeeded, false, ""},
		{"msi restart", msi, 3010, catalog.Succeeded, true, "a restart is required"},
		{"msi started a restart", msi, 1641, catalog.Succeeded, true, "the installer started a restart"},
		{"msi busy", msi, 1618, catalog.Failed, false, "the installer returned 1618: another installation is under way"},
		{"msi cancelled", msi, 1602, catalog.Cancelled, false, "the installer returned 1602: somebody cancelled it"},
		{"msi listed", msi, 1638, catalog.Succeeded, false, ""},
		{"msi failure", msi, 1603, catalog.Failed, false, "the installer returned 1603 (0x00000643)"},
	} {
		got := Read(c.installer, c.code)
		if want := (Meaning{c.want, c.restart, c.text}); got != want {
			t.Errorf("%s: %+v, want %+v", c.name, got, want)
		}
	}
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		job  Job
		want string
	}{
		{Job{Type: catalog.EXE, File: `C:\run\a b\setup.exe`, Arguments: ` /S /D="C:\x y" `}, `"C:\run\a b\setup.exe" /S /D="C:\x y"`},
		{Job{Type: catalog.MSI, File: `C:\run\p.msi`, Arguments: "REBOOT=ReallySuppress"}, `"M:\msiexec.exe" /i "C:\run\p.msi" /qn /norestart REBOOT=ReallySuppress`},
		{Job{Type: catalog.MSP, File: `C:\run\p.msp`}, `"M:\msiexec.exe" /p "C:\run\p.msp" /qn /norestart`},
	} {
		program := c.job.File
		if c.job.Type != catalog.EXE {
			program = `M:\msiexec.exe`
		}
		if got, err := commandLine(program, c.job); err != nil || got != c.want {
			t.Errorf("%v\n got %s\nwant %s", err, got, c.want)
		}
	}
	for _, job := range []Job{
		{Type: catalog.MSI, File: `C:\a" /x "b.msi`},
		{Type: catalog.EXE, File: `C:\a".exe`},
		{Type: catalog.EXE, File: `C:\a.exe`, Arguments: "/S\r\ncalc"},
		{Type: catalog.EXE, File: `C:\a.exe`, Arguments: "\x00"},
		{Type: catalog.EXE, File: `C:\a.exe`, Arguments: strings.Repeat("x", maxLine)},
		{Type: "cab", File: `C:\a.cab`},
	} {
		if line, err := commandLine(job.File, job); err == nil {
			t.Errorf("%+v became %.80s", job, line)
		}
	}
}

func TestSplit(t *testing.T) {
	for text, want := range map[string][]string{
		``:               nil,
		"  \t ":          nil,
		`/S  /D=x`:       {"/S", "/D=x"},
		`"a b" c`:        {"a b", "c"},
		`a"b c"d`:        {"ab cd"},
		`"" x`:           {"", "x"},
		`\\srv\share\ x`: {`\\srv\share\`, "x"},
		`"C:\dir\\" y`:   {`C:\dir\`, "y"},
		`a\"b "c\"d e"`:  {`a"b`, `c"d e`},
		`\`:              {`\`},
	} {
		if got, err := Split(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
	if _, err := Split(`"open`); !errors.Is(err, ErrInvalid) {
		t.Errorf("open quotation: %v", err)
	}
}

func TestSplitGivesBackQuotedWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[a-c "\\]{0,6}`), 1, 5).Draw(t, "words")
		var line []string
		for _, word := range words {
			line = append(line, escape(word))
		}
		got, err := Split(strings.Join(line, " "))
		if err != nil || !reflect.DeepEqual(got, words) {
			t.Fatalf("%q became %q, %v", words, got, err)
		}
	})
}

// escape quotes one word by the same rules, told the other way round.
func escape(word string) string {
	var out strings.Builder
	out.WriteByte('"')
	slashes := 0
	for _, r := range word {
		switch r {
		case '\\':
			slashes++
			continue
		case '"':
			out.WriteString(strings.Repeat(`\`, 2*slashes+1))
		default:
			out.WriteString(strings.Repeat(`\`, slashes))
		}
		slashes = 0
		out.WriteRune(r)
	}
	out.WriteString(strings.Repeat(`\`, 2*slashes) + `"`)
	return out.String()
}

func TestText(t *testing.T) {
	long := strings.Repeat("x", MaxOutput) + "end"
	for raw, want := range map[string]string{
		"plain\r\ntext":      "plain\ntext",
		"w\x00i\x00d\x00e":   "wide",
		"bro\xffken\x07 end": "bro?ken end",
		long:                 long[3:],
	} {
		if got := Text([]byte(raw)); got != want {
			t.Errorf("%.20q became %.20q, want %.20q", raw, got, want)
		}
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	var output tail
	for i := range 3000 {
		if n, err := output.Write([]byte{byte('a' + i%26)}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if len(output.kept) > 2*MaxOutput+1 {
			t.Fatalf("%d bytes are kept", len(output.kept))
		}
	}
	if got := output.String(); len(got) != MaxOutput || got[len(got)-1] != byte('a'+2999%26) {
		t.Fatalf("%d bytes, ending in %q", len(got), got[len(got)-1])
	}
}

func program(t *testing.T, text string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("skipped: the programs of this test are shell scripts")
	}
	path := filepath.Join(t.TempDir(), "setup.sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRunReturnsCodeAndOutput(t *testing.T) {
	path := program(t, `echo "in ${PWD##*/}"; echo "got [$1] [$2]" >&2; exit 3`)
	outcome, err := System{Programs: true}.Run(context.Background(), Job{Type: catalog.EXE, File: path, Arguments: `/S "two words; rm"`})
	if err != nil || outcome.Code != 3 {
		t.Fatalf("%+v, %v", outcome, err)
	}
	if want := "in " + filepath.Base(filepath.Dir(path)) + "\ngot [/S] [two words; rm]\n"; outcome.Output != want {
		t.Fatalf("output %q, want %q", outcome.Output, want)
	}
}

func TestRunDoesNotWaitForOutputHeldOpen(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes as long as outputDelay")
	}
	path := program(t, `sleep 30 & exit 7`)
	outcome, err := System{Programs: true}.Run(context.Background(), Job{Type: catalog.EXE, File: path, Limit: 20 * time.Second})
	if err != nil || outcome.Code != 7 {
		t.Fatalf("%+v, %v", outcome, err)
	}
}

func TestRunGoesOnWhenTheAgentIsAskedToEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	path := program(t, `while [ ! -e go ]; do sleep 0.02; done; exit 0`)
	done := make(chan error, 1)
	go func() {
		outcome, err := System{Programs: true}.Run(ctx, Job{Type: catalog.EXE, File: path, Limit: 20 * time.Second})
		if err == nil && outcome.Code != 0 {
			err = errors.New("it was disturbed")
		}
		done <- err
	}()
	cancel()
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestRunRefuses(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("skipped: Windows runs these")
	}
	for name, c := range map[string]struct {
		system System
		job    Job
		want   error
	}{
		"msi":           {System{Programs: true}, Job{Type: catalog.MSI, File: "/x.msi"}, ErrPlatform},
		"not for tests": {System{}, Job{Type: catalog.EXE, File: "/bin/true"}, ErrPlatform},
		"relative path": {System{Programs: true}, Job{Type: catalog.EXE, File: "true"}, ErrInvalid},
		"open quote":    {System{Programs: true}, Job{Type: catalog.EXE, File: "/bin/true", Arguments: `"`}, ErrInvalid},
		"missing file":  {System{Programs: true}, Job{Type: catalog.EXE, File: "/nowhere/setup"}, os.ErrNotExist},
	} {
		if _, err := c.system.Run(context.Background(), c.job); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := (System{Programs: true}).Run(ended, Job{Type: catalog.EXE, File: "/bin/true"}); !errors.Is(err, context.Canceled) {
		t.Errorf("a run was started after the end: %v", err)
	}
}
