// Package winetest makes Windows computers out of Wine, for tests: each with its own name, machine id, language and
// kind of system; builds programs and packages for them; and switches them off the hard way.
package winetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"thatch/ringtest"
)

// limit of any one command in a computer.
const limit = 3 * time.Minute

// Options describe a computer. The zero value is an English Windows 10.
type Options struct {
	Name     string // NetBIOS name; "": made up
	Language string // of the system: "de_DE", "ja_JP"; "": en_US
	Server   bool   // a server instead of a workstation
	Build    string // "17763"; "": 17763
	Revision uint32 // UBR
}

// Computer is a Windows computer under Wine. It ends with its test.
type Computer struct {
	t      testing.TB
	prefix string
	name   string
	env    []string
	names  bool // this process may give computers names of their own
	on     bool
}

// New makes a computer, or skips the test where Wine is missing.
func New(t testing.TB, opts Options) *Computer {
	t.Helper()
	ringtest.Need(t, ringtest.Wine)
	base, err := prefix()
	if err != nil {
		t.Fatal(err)
	}
	if opts.Name == "" {
		opts.Name = "WINE-" + strings.ToUpper(randomHex(3))
	}
	c := &Computer{t: t, name: opts.Name, prefix: filepath.Join(filepath.Dir(base), "computer-"+randomHex(6)), names: canName()}
	t.Cleanup(func() {
		c.Off()
		if err := os.RemoveAll(c.prefix); err != nil {
			t.Logf("the prefix of %s stays: %v", c.name, err)
		}
	})
	if c.env, err = environment(c.prefix, opts.Language); err != nil {
		t.Fatal(err)
	}
	if err := c.copyFrom(base, opts); err != nil {
		t.Fatal(err)
	}
	return c
}

// cache is the folder of the template and the computers: one file system, so that files can be linked.
func cache() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	out, err := exec.Command("wine", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("wine --version: %w", err)
	}
	version := regexp.MustCompile(`[^A-Za-z0-9.-]+`).ReplaceAllString(strings.TrimSpace(string(out)), "_")
	dir = filepath.Join(dir, "thatch-winetest", version)
	return dir, os.MkdirAll(dir, 0o755)
}

// prefix is one that was started once. It takes ten seconds and is kept for the next tests.
var prefix = sync.OnceValues(makeTemplate)

func makeTemplate() (string, error) {
	dir, err := cache()
	if err != nil {
		return "", err
	}
	done := filepath.Join(dir, "template-1")
	if _, err := os.Stat(done); err == nil {
		return done, nil
	}
	draft := filepath.Join(dir, "draft-"+randomHex(4))
	env, err := environment(draft, "")
	if err != nil {
		return "", err
	}
	for _, words := range [][]string{{"wineboot", "-i"}, {"wine", "winecfg", "-v", "win10"}, {"wineserver", "-w"}} {
		if out, err := command(env, words...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("make a Windows: %s: %w: %s", strings.Join(words, " "), err, out)
		}
	}
	dll := filepath.Join(draft, "drive_c", "windows", "system32", "bcryptprimitives.dll")
	if err := os.WriteFile(dll, forwarder(), 0o755); err != nil {
		return "", err
	}
	if err := os.Rename(draft, done); err != nil {
		// Another process was first.
		_ = os.RemoveAll(draft)
		if _, missing := os.Stat(done); missing != nil {
			return "", err
		}
	}
	return done, nil
}

// environment is what Wine needs to be headless, and to speak a language.
func environment(prefix, language string) ([]string, error) {
	env := slices.DeleteFunc(os.Environ(), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return slices.Contains([]string{"DISPLAY", "WAYLAND_DISPLAY", "LC_ALL", "LANGUAGE", "LANG", "LOCPATH"}, name) || strings.HasPrefix(name, "WINE")
	})
	env = append(env, "WINEPREFIX="+prefix, "WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree,mshtml=")
	if language == "" || language == "en_US" {
		return append(env, "LANG=C.UTF-8"), nil
	}
	dir, err := cache()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "locales", language+".UTF-8")
	if _, err := os.Stat(path); err != nil {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		if out, err := exec.Command("localedef", "-i", language, "-f", "UTF-8", path).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("make the locale %s: %w: %s", language, err, out)
		}
	}
	return append(env, "LOCPATH="+filepath.Dir(path), "LANG="+language+".UTF-8"), nil
}

func command(env []string, words ...string) *exec.Cmd {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = env
	cmd.WaitDelay = 10 * time.Second // explorer.exe inherits the pipe and keeps it
	return cmd
}

// canName says whether this process may give its children a host name of their own.
var canName = sync.OnceValue(func() bool {
	return exec.Command("unshare", "--uts", "hostname", "winetest").Run() == nil
})

// copyFrom links the template's files and gives the copy what makes it a computer of its own. The registry is written
// anew by Wine, so it is copied.
func (c *Computer) copyFrom(base string, opts Options) error {
	if out, err := exec.Command("cp", "-al", base, c.prefix).CombinedOutput(); err != nil {
		return fmt.Errorf("copy the template: %w: %s", err, out)
	}
	build := opts.Build
	if build == "" {
		build = "17763"
	}
	guid := randomHex(16)
	kind := "WinNT"
	if opts.Server {
		kind = "ServerNT"
	}
	values := map[string]string{
		"MachineGuid":        fmt.Sprintf(`"%s-%s-%s-%s-%s"`, guid[:8], guid[8:12], guid[12:16], guid[16:20], guid[20:]),
		"ComputerName":       `"` + opts.Name + `"`,
		"Hostname":           `"` + opts.Name + `"`,
		"CurrentBuild":       `"` + build + `"`,
		"CurrentBuildNumber": `"` + build + `"`,
		"ProductType":        `"` + kind + `"`,
		"UBR":                fmt.Sprintf("dword:%08x", opts.Revision),
	}
	for _, name := range []string{"system.reg", "user.reg", "userdef.reg"} {
		path := filepath.Join(c.prefix, name)
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for value, data := range values {
			pattern := regexp.MustCompile(`(?m)^"` + value + `"=("[^"\n]*"|dword:[0-9a-f]+)$`)
			raw = pattern.ReplaceAll(raw, []byte(`"`+value+`"=`+data))
		}
		if name == "system.reg" {
			raw = addRevision(raw, values["UBR"])
		}
		if err := errors.Join(os.Remove(path), os.WriteFile(path, raw, 0o644)); err != nil {
			return err
		}
	}
	return nil
}

// addRevision puts the UBR into the key of the current version, where a new prefix has none.
func addRevision(raw []byte, data string) []byte {
	if bytes.Contains(raw, []byte(`"UBR"=`)) {
		return raw
	}
	key := regexp.MustCompile(`(?m)^\[Software\\\\Microsoft\\\\Windows NT\\\\CurrentVersion\][^\n]*\n(#[^\n]*\n)?`)
	at := key.FindIndex(raw)
	if at == nil {
		return raw
	}
	return slices.Concat(raw[:at[1]], []byte(`"UBR"=`+data+"\n"), raw[at[1]:])
}

// Name is the computer's NetBIOS name.
func (c *Computer) Name() string { return c.name }

// Command runs a Windows program, or a command of Wine such as msiexec, in the computer. Standard input is empty.
func (c *Computer) Command(ctx context.Context, words ...string) *exec.Cmd {
	if !c.on {
		// Without -p it would switch itself off a few seconds after the last program ended.
		_ = command(c.env, "wineserver", "-p").Run()
		c.on = true
	}
	words = append([]string{"wine"}, words...)
	if c.names {
		words = append([]string{"unshare", "--uts", "sh", "-c", `hostname "$0" && exec "$@"`, c.name}, words...)
	}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = c.env
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// Run runs a program and returns what it wrote to its output, its exit code, and what it wrote to its error output.
// Only a program that could not be run fails the test.
func (c *Computer) Run(words ...string) (out string, code int, errs string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := c.Command(ctx, words...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) || ctx.Err() != nil {
		c.t.Fatalf("%s: %q: %v %v\n%s%s", c.name, words, err, ctx.Err(), stdout.String(), stderr.String())
	}
	return stdout.String(), cmd.ProcessState.ExitCode(), stderr.String()
}

// Must runs a program that has to end with 0, and returns its output.
func (c *Computer) Must(words ...string) string {
	c.t.Helper()
	out, code, errs := c.Run(words...)
	if code != 0 {
		c.t.Fatalf("%s: %q ended with %d:\n%s%s", c.name, words, code, out, errs)
	}
	return out
}

// Off switches the computer off the hard way: every process in it is killed. The next Run boots it.
func (c *Computer) Off() {
	// -k answers with 1 when nothing runs, and -w waits for the registry to be written.
	_ = command(c.env, "wineserver", "-k").Run()
	_ = command(c.env, "wineserver", "-w").Run()
	c.on = false
}

// Path is where a path of drive C is on this machine.
func (c *Computer) Path(windows string) string {
	rest := strings.ReplaceAll(strings.TrimPrefix(strings.TrimPrefix(windows, `C:`), `\`), `\`, "/")
	return filepath.Join(c.prefix, "drive_c", rest)
}

// Windows is how programs in the computer see a file of this machine.
func Windows(path string) string { return `Z:` + strings.ReplaceAll(path, "/", `\`) }

// SetValue sets a registry value: SetValue(`HKLM\SOFTWARE\Example`, "Version", "REG_SZ", "1.0").
func (c *Computer) SetValue(key, name, kind, data string) {
	c.t.Helper()
	c.Must("reg", "add", key, "/v", name, "/t", kind, "/d", data, "/f")
}

func randomHex(n int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw) // never fails
	return hex.EncodeToString(raw)
}

// Build builds a program of this module for Windows and returns its path. It is built once per process.
func Build(t testing.TB, pkg string) string { return build(t, pkg, "build", "-trimpath") }

// BuildTest builds the tests of a package for Windows.
func BuildTest(t testing.TB, pkg string) string { return build(t, pkg, "test", "-c") }

func build(t testing.TB, pkg string, words ...string) string {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	key := words[0] + " " + pkg
	if path, ok := builds.done[key]; ok {
		return path
	}
	root, err := ringtest.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "thatch-winetest-")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, filepath.Base(pkg)+".exe")
	cmd := exec.Command("go", append(words, "-o", path, "./"+pkg)...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s for Windows: %v\n%s", pkg, err, out)
	}
	builds.done[key] = path
	return path
}

var builds = struct {
	sync.Mutex
	done map[string]string
}{done: map[string]string{}}
