package facts

import (
	"encoding/binary"
	"errors"
	"reflect"
	"strings"
	"testing"

	"thatch/catalog/rule"
	"thatch/catalog/rule/memory"
)

// structure lays out one SMBIOS structure: its formatted part without the head, and its strings.
func structure(kind byte, body []byte, texts ...string) []byte {
	out := append([]byte{kind, byte(4 + len(body)), 0, 1}, body...)
	for _, text := range texts {
		out = append(append(out, text...), 0)
	}
	if len(texts) == 0 {
		out = append(out, 0)
	}
	return append(out, 0)
}

var uuid = []byte{0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}

func system(uuid []byte, texts ...string) []byte {
	return structure(1, append([]byte{1, 2, 0, 3}, uuid...), texts...)
}

func TestSMBIOS(t *testing.T) {
	bios := structure(0, []byte{1, 0, 0, 0}, "Maker")
	empty := structure(11, []byte{0})
	for _, c := range []struct {
		name  string
		table []byte
		want  firmware
		ok    bool
	}{
		{"second structure", append(bios, system(uuid, "Dell Inc.", "OptiPlex", "ABC1234")...), firmware{"Dell Inc.", "OptiPlex", "ABC1234", "00112233-4455-6677-8899-aabbccddeeff"}, true},
		{"after one without strings", append(empty, system(uuid, "A", "B", "C")...), firmware{"A", "B", "C", "00112233-4455-6677-8899-aabbccddeeff"}, true},
		{"makers that write nothing", system(make([]byte, 16), "To be filled by O.E.M.", "Default string", "0"), firmware{}, true},
		{"all ones", system([]byte(strings.Repeat("\xff", 16)), "A"), firmware{Manufacturer: "A"}, true},
		{"old and short", structure(1, []byte{1, 2, 0, 3}, "A", "B", "C"), firmware{"A", "B", "C", ""}, true},
		{"none before the end", append(structure(127, nil), system(uuid, "A")...), firmware{}, false},
		{"cut", system(uuid, "A")[:10], firmware{}, false},
		{"length of nothing", []byte{1, 0, 0, 0, 0, 0}, firmware{}, false},
		{"nothing", nil, firmware{}, false},
	} {
		got, ok := parseSMBIOS(c.table)
		if got != c.want || ok != c.ok {
			t.Errorf("%s: %+v %v, want %+v %v", c.name, got, ok, c.want, c.ok)
		}
	}
}

func FuzzSMBIOS(f *testing.F) {
	f.Add(system(uuid, "A", "B", "C"))
	f.Add(binary.LittleEndian.AppendUint32(nil, 0x01ff))
	f.Fuzz(func(t *testing.T, table []byte) {
		found, ok := parseSMBIOS(table)
		if !ok && found != (firmware{}) {
			t.Fatalf("%+v from what is no table", found)
		}
		if len(found.UUID) != 0 && len(found.UUID) != 36 {
			t.Fatalf("UUID %q", found.UUID)
		}
	})
}

// packagesKey and the names below it are as Windows writes them.
const packagesKey = `SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages`

type mums map[string]string

func (m mums) head(name string) ([]byte, error) {
	if text, ok := m[name]; ok {
		return []byte(text), nil
	}
	return nil, errors.New("no such file")
}

const rollup = "Package_for_RollupFix~31bf3856ad364e35~amd64~~17763.316.1.5"

func host(t *testing.T, packages map[string]uint32) (*memory.Registry, rule.Registry) {
	t.Helper()
	reg := memory.NewRegistry()
	for name, state := range packages {
		reg.SetNumber(rule.Native, packagesKey+`\`+name, "CurrentState", state)
	}
	h := memory.Host{Registry: reg, System: &rule.System{Architecture: "x64"}}
	return reg, h.Facts().Registry
}

func TestHotfixes(t *testing.T) {
	manifest := `<?xml version="1.0"?><assembly><package identifier="KB4487044" releaseType="Security Update">`
	packages := map[string]uint32{
		"Package_for_KB4480056~31bf3856ad364e35~amd64~~10.0.1.2":         112,
		"Package_1_for_KB4483452~31bf3856ad364e35~amd64~~10.0.1.2":       112,
		"Package_for_KB1111111~31bf3856ad364e35~amd64~~10.0.1.2":         64, // staged only
		"Microsoft-Windows-Client-LanguagePack~31bf3856ad364e35~amd64~~": 112,
		rollup: 112,
	}
	reg, view := host(t, packages)
	reg.SetText(rule.WOW64, `SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\{ABC}.KB2565063`, "DisplayName", "Microsoft Visual C++ 2010 Redistributable")
	reg.SetText(rule.Native, `SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\{DEF}`, "DisplayName", "Update für Microsoft Office (KB4461522)")
	reg.SetText(rule.Native, `SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\{GHI}`, "DisplayName", "7-Zip 19.00 (x64)")
	got := readHotfixes(view, mums{rollup: manifest})
	want := &rule.Hotfixes{KBs: []string{"2565063", "4461522", "4480056", "4483452", "4487044"}, Complete: true}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// What is not sure must not be called complete.
func TestHotfixesThatAreNotComplete(t *testing.T) {
	reg, view := host(t, map[string]uint32{rollup: 112})
	if got := readHotfixes(view, mums{}); got.Complete || len(got.KBs) != 0 {
		t.Errorf("a cumulative update without a KB: %+v", got)
	}
	if got := readHotfixes(view, mums{rollup: "<assembly/>"}); got.Complete {
		t.Errorf("a manifest without a KB: %+v", got)
	}
	reg.Deny(rule.Native, packagesKey, "access denied")
	if got := readHotfixes(view, mums{}); got.Complete {
		t.Errorf("packages that cannot be read: %+v", got)
	}
	_, bare := host(t, nil)
	if got := readHotfixes(bare, mums{}); got.Complete || len(got.KBs) != 0 {
		t.Errorf("a system without the component store: %+v", got)
	}
}

func TestNamesOfKBs(t *testing.T) {
	for name, want := range map[string]string{
		"Package_for_KB4480056~31bf3856ad364e35~amd64~~10.0.1.2": "4480056",
		"package_23_for_kb4480056_RTM~31bf~amd64~~6.1":           "4480056",
		"Package_for_KB12345~x":                                  "",
		"Package_for_KB123456789~x":                              "",
		rollup:                                                   "",
	} {
		if got := packageKB(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"Security Update for X (KB4461522)": "4461522", "Update KB 4461522 x": "4461522", "KB4461522": "4461522",
		"MKB4461522": "", "Office 2019": "", "Hotfix for Y_KB4461522_": "4461522",
	} {
		if got := displayKB("{key}", name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := displayKB("{90150000-0011}_Office15.PROPLUS_{GUID}.KB4461522", "Name"); got != "4461522" {
		t.Errorf("by its key: %q", got)
	}
}

func TestAssignments(t *testing.T) {
	got := parseAssignments("# comment\nID=debian\nNAME=\"Debian \\\"X\\\"\"\n\nA='b c'\nbroken\n=x\nLANG=de_DE.UTF-8\r\nEMPTY=\nQ=\"\n")
	want := map[string]string{"ID": "debian", "NAME": `Debian "X"`, "A": "b c", "LANG": "de_DE.UTF-8", "EMPTY": "", "Q": `"`}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func FuzzAssignments(f *testing.F) {
	f.Add("ID=\"x\"\n#a\n")
	f.Fuzz(func(t *testing.T, text string) {
		for name := range parseAssignments(text) {
			if name == "" || strings.ContainsAny(name, "\n=") {
				t.Fatalf("name %q", name)
			}
		}
	})
}

func TestLocalesAndVersions(t *testing.T) {
	for locale, want := range map[string]string{"de_DE.UTF-8": "de-de", "pt_BR": "pt-br", "ca_ES@valencia": "ca-es", "C": "", "C.UTF-8": "", "POSIX": "", "": "", "en": "en"} {
		if got := localeTag(locale); got != want {
			t.Errorf("%s: %q, want %q", locale, got, want)
		}
	}
	for text, want := range map[string][2]int{"12": {12, 0}, "22.04": {22, 4}, "": {0, 0}, "sid": {0, 0}} {
		if major, minor := versionNumbers(text); [2]int{major, minor} != want {
			t.Errorf("%s: %d.%d", text, major, minor)
		}
	}
}
