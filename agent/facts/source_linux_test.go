package facts

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"thatch/catalog/rule"
)

func root(t *testing.T, files map[string]string) linux {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return linux{dir}
}

func TestLinux(t *testing.T) {
	l := root(t, map[string]string{
		"usr/lib/os-release":              "ID=ubuntu\nVERSION_ID=\"22.04\"\nPRETTY_NAME=\"Ubuntu 22.04 LTS\"\n",
		"etc/default/locale":              "LANG=fr_FR.UTF-8\n",
		"etc/machine-id":                  "0123\n",
		"etc/timezone":                    "Europe/Paris\n",
		"sys/class/dmi/id/sys_vendor":     "Dell Inc.\n",
		"sys/class/dmi/id/product_serial": "ABC\n",
		"proc/sys/kernel/random/boot_id":  "b1\n",
	})
	f, err := l.Read(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	s := f.System
	if s.Platform != "ubuntu" || s.Major != 22 || s.Minor != 4 || s.Name != "Ubuntu 22.04 LTS" || !slices.Equal(s.Languages, []string{"fr-fr"}) || s.Revision != -1 {
		t.Errorf("%+v", s)
	}
	m, err := l.Machine(context.Background())
	if err != nil || m.ID != "0123" || m.TimeZone != "Europe/Paris" || m.Manufacturer != "Dell Inc." || m.Serial != "ABC" || m.Hardware != "ABC" || m.Boot != "b1" {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestWindowsRulesCannotBeToldOnLinux(t *testing.T) {
	l := root(t, map[string]string{"etc/os-release": "ID=debian\nVERSION_ID=12\n"})
	f, err := l.Read(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*rule.Rule{
		rule.Test("RegKeyExists", "Key", "HKEY_LOCAL_MACHINE", "Subkey", `SOFTWARE`),
		rule.Test("FileExists", "Path", "a.dll"),
		rule.Test(rule.Hotfix, "KB", "4487044", "Product", "1"),
		rule.Test("WmiQuery", "WqlQuery", "select * from x"),
	} {
		if v := rule.Evaluate(r, f, nil); v.Answer != rule.Unknown || v.Because == "" {
			t.Errorf("%s: %+v", r.Op, v)
		}
	}
}

func TestSystemThatHasNoName(t *testing.T) {
	if _, err := root(t, nil).Read(context.Background()); !errors.Is(err, rule.ErrUnknown) {
		t.Errorf("%v, want ErrUnknown", err)
	}
}
