package facts

import (
	"context"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/windows/registry"

	"thatch/catalog/rule"
)

func read(t *testing.T) *rule.Facts {
	t.Helper()
	f, err := Local().Read(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestWMI(t *testing.T) {
	wmi := read(t).WMI
	for query, want := range map[string]bool{
		"select * from Win32_OperatingSystem":                                          true,
		"SELECT Name FROM Win32_ComputerSystem WHERE Name LIKE '%'":                    true,
		"select * from Win32_ComputerSystem where Manufacturer = 'No Such Maker'":      false,
		"select * from Win32_OperatingSystem where Version like '1%' or Name like '%'": true,
	} {
		if rows, err := wmi.Query("", query); err != nil || rows != want {
			t.Errorf("%s: %v, %v, want %v", query, rows, err, want)
		}
	}
	for namespace, query := range map[string]string{
		`root\no\such`: "select * from Win32_OperatingSystem", `root\cimv2`: "no query at all",
	} {
		if rows, err := wmi.Query(namespace, query); rows || !errors.Is(err, rule.ErrUnknown) {
			t.Errorf("%s in %s: %v, %v, want ErrUnknown", query, namespace, rows, err)
		}
	}
}

func TestRegistryViews(t *testing.T) {
	const key = `SOFTWARE\Thatch Test`
	for access, text := range map[uint32]string{registry.WOW64_64KEY: "native", registry.WOW64_32KEY: "wow64"} {
		k, _, err := registry.CreateKey(registry.LOCAL_MACHINE, key, registry.ALL_ACCESS|access)
		if err != nil {
			t.Skipf("skipped: this user may not write to the registry: %v", err)
		}
		fill(t, k, text)
		t.Cleanup(func() { _ = registry.DeleteKey(k, ""); _ = k.Close() })
	}
	reg := read(t).Registry
	for view, text := range map[rule.View]string{rule.Native: "native", rule.WOW64: "wow64"} {
		for name, want := range map[string]rule.Value{
			"text": {Type: "REG_SZ", Data: text}, "expand": {Type: "REG_EXPAND_SZ", Data: "%SystemRoot%"},
			"number": {Type: "REG_DWORD", Data: uint32(0xfffffffe)}, "long": {Type: "REG_QWORD", Data: uint64(1 << 40)},
			"list": {Type: "REG_MULTI_SZ", Data: []string{"a", "b"}}, "bytes": {Type: "REG_BINARY", Data: []byte{1, 2}},
			"large": {Type: "REG_SZ", Data: strings.Repeat("x", 3000)},
		} {
			if got, exists, err := reg.Value(view, `\`+key+`\`, name); err != nil || !exists || !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %s: %.100v, %v, %v", text, name, got, exists, err)
			}
		}
	}
	names, exists, err := reg.Subkeys(rule.Native, `SOFTWARE`)
	if err != nil || !exists || !slices.Contains(names, "Thatch Test") {
		t.Errorf("%v, %v, %v", names, exists, err)
	}
}

func fill(t *testing.T, k registry.Key, text string) {
	t.Helper()
	if err := errors.Join(k.SetStringValue("text", text), k.SetExpandStringValue("expand", "%SystemRoot%"),
		k.SetDWordValue("number", 0xfffffffe), k.SetQWordValue("long", 1<<40), k.SetStringsValue("list", []string{"a", "b"}),
		k.SetBinaryValue("bytes", []byte{1, 2}), k.SetStringValue("large", strings.Repeat("x", 3000))); err != nil {
		t.Fatal(err)
	}
}

func TestFilesAndVersions(t *testing.T) {
	files := read(t).Files
	const systemFolder = 0x25
	info, exists, err := files.Stat(systemFolder, "kernel32.dll")
	if err != nil || !exists || info.Size == 0 || info.Version == [4]uint16{} || info.Modified.IsZero() {
		t.Errorf("kernel32.dll: %+v, %v, %v", info, exists, err)
	}
	same, exists, err := files.Stat(-1, `%SystemRoot%\system32\kernel32.dll`)
	if err != nil || !exists || same != info {
		t.Errorf("by a variable: %+v, %v, %v", same, exists, err)
	}
	// Not in t.TempDir: os.RemoveAll does not work on every Windows file system.
	file, err := os.CreateTemp("", "thatch-*.txt")
	if err != nil {
		t.Fatal(err)
	}
	plain := file.Name()
	t.Cleanup(func() { _ = os.Remove(plain) })
	if _, err := file.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if info, exists, err := files.Stat(-1, plain); err != nil || !exists || info.Size != 1 || info.Version != [4]uint16{} {
		t.Errorf("a file without a version: %+v, %v, %v", info, exists, err)
	}
	if _, exists, err := files.Stat(systemFolder, ""); exists || err != nil {
		t.Errorf("a folder counts as a file: %v", err)
	}
	if _, _, err := files.Stat(9999, "x"); !errors.Is(err, rule.ErrUnknown) {
		t.Errorf("a folder that nobody knows: %v", err)
	}
}

func TestMetricsAndCluster(t *testing.T) {
	f := read(t)
	const cleanBoot, screenWidth = 67, 0
	if value, err := f.Metrics.Metric(cleanBoot); err != nil || value != 0 {
		t.Errorf("clean boot %d, %v", value, err)
	}
	if _, err := f.Metrics.Metric(screenWidth); err != nil {
		t.Error(err)
	}
	if member, err := f.Cluster.Clustered(); err != nil || member {
		t.Errorf("cluster %v, %v", member, err)
	}
	if owns, err := f.Cluster.Owns("x"); err != nil || owns {
		t.Errorf("owns %v, %v", owns, err)
	}
}
