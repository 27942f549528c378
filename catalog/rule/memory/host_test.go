package memory

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"thatch/catalog/rule"
)

const whole = `{
 "name":"pc1","simulated":true,
 "system":{"platform":"windows","product":"Windows 10","name":"","major":10,"minor":0,"build":17763,"revision":316,"product_type":1,"installation_type":"client","architecture":"x64","languages":["de"]},
 "registry":{"native":{"SOFTWARE\\A":{"values":{"B":{"type":"REG_BINARY","data":"AQI="},"D":{"type":"REG_DWORD","data":4294967295},"M":{"type":"REG_MULTI_SZ","data":["x","y"]},"Q":{"type":"REG_QWORD","data":18446744073709551615},"S":{"type":"REG_SZ","data":"<a&b>"}}},"SOFTWARE\\A\\Locked":{"unreadable":"denied"}},"wow64":{"SOFTWARE\\C":{}},"partial":true},
 "files":{"list":[{"path":"C:\\b","missing":true},{"path":"C:\\c","unreadable":"denied"},{"csidl":37,"path":"a.dll","version":"1.2.3.4","created":"2020-01-01T00:00:00Z","modified":"2020-01-02T00:00:00Z","size":5,"language":1033}],"folders":{"38":"D:\\Programs"},"partial":true},
 "installer":{"products":[{"code":"{A}","version":"1.0","features":[],"components":null,"patches":["{P}"]}]},
 "wmi":{"namespaces":{"root\\cimv2":{"classes":{"C":[{"N":18446744073709551615,"T":"x"}],"Empty":[]}},"root\\gone":{"complete":true}},"queries":[{"namespace":"root\\cimv2","query":"select odd","rows":true}]},
 "hotfixes":{"kbs":["1234567"],"complete":true},
 "metrics":{"86":1},"cluster":{"member":true,"owned":["d"]},"history":{"updates":["u"]}
}`

func mustDecode(t *testing.T, text string) *Host {
	t.Helper()
	h, err := Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// What is written is what was read, byte for byte the second time.
func TestRoundTrip(t *testing.T) {
	first, err := json.Marshal(mustDecode(t, whole))
	if err != nil {
		t.Fatal(err)
	}
	second, err := json.Marshal(mustDecode(t, string(first)))
	if err != nil || !bytes.Equal(first, second) {
		t.Fatalf("%v\n%s\n%s", err, first, second)
	}
	var was, is any
	if err := errors.Join(json.Unmarshal([]byte(whole), &was), json.Unmarshal(first, &is)); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(was, is) {
		t.Fatalf("read %v\nwritten %v", was, is)
	}
}

func TestAbsentPartsAreNil(t *testing.T) {
	f := mustDecode(t, `{"later":{"x":1}}`).Facts()
	if !reflect.DeepEqual(f, &rule.Facts{}) {
		t.Fatalf("%+v", f)
	}
	if h := mustDecode(t, `{"system":{"platform":"windows"}}`); h.System.Revision != -1 {
		t.Fatal("a revision that is not given is", h.System.Revision)
	}
	if _, err := mustDecode(t, `{"registry":{"wow64":{}}}`).Facts().Registry.Key(rule.Native, "SYSTEM"); !errors.Is(err, rule.ErrUnknown) {
		t.Fatal("a view that is not there was collected:", err)
	}
	if exists, err := mustDecode(t, `{"registry":{"native":{}}}`).Facts().Registry.Key(rule.Native, "SYSTEM"); exists || err != nil {
		t.Fatal("a view that is empty was not collected:", err)
	}
	if h := mustDecode(t, `{"system":{"platform":"windows","revision":0}}`); h.System.Revision != 0 {
		t.Fatal("a revision of 0 is", h.System.Revision)
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"nothing":         {"", "unexpected end"},
		"not JSON":        {"Host Name: PC1", "invalid character"},
		"a list":          {"[]", "cannot unmarshal array"},
		"wrong system":    {`{"system":{"build":"17763"}}`, "system.build"},
		"no type":         {`{"registry":{"native":{"A":{"values":{"B":{"data":1}}}}}}`, `key "A", value "B": it has no type`},
		"no data":         {`{"registry":{"native":{"A":{"values":{"B":{"type":"REG_SZ"}}}}}}`, `value "B": it has no data`},
		"wrong data":      {`{"registry":{"native":{"A":{"values":{"B":{"type":"REG_DWORD","data":"7"}}}}}}`, `value "B": data`},
		"too large":       {`{"registry":{"native":{"A":{"values":{"B":{"type":"REG_DWORD","data":4294967296}}}}}}`, `value "B": data`},
		"not base64":      {`{"registry":{"native":{"A":{"values":{"B":{"type":"REG_BINARY","data":"?"}}}}}}`, `value "B": data`},
		"long path":       {`{"registry":{"native":{"` + strings.Repeat("a", 5000) + `":{}}}}`, "a path of 5000 bytes"},
		"deep path":       {`{"registry":{"native":{"` + strings.Repeat(`a\\`, 200) + `":{}}}}`, "at most 4096 bytes and 128 keys"},
		"file, no path":   {`{"files":{"list":[{"path":"a"},{"size":1}]}}`, "files: entry 1 has no path"},
		"file, null":      {`{"files":{"list":[null]}}`, "files: entry 0 has no path"},
		"file version":    {`{"files":{"list":[{"path":"a","version":"one"}]}}`, `files: a: version "one"`},
		"five parts":      {`{"files":{"list":[{"path":"a","version":"1.2.3.4.5"}]}}`, "not four numbers"},
		"part too large":  {`{"files":{"list":[{"path":"a","version":"1.65536"}]}}`, "not four numbers"},
		"file time":       {`{"files":{"list":[{"path":"a","created":"today"}]}}`, "files:"},
		"class, no list":  {`{"wmi":{"namespaces":{"n":{"classes":{"C":{"a":1}}}}}}`, "class of WMI"},
		"products wrong":  {`{"installer":{"products":{}}}`, "products"},
		"more behind":     {`{} {}`, "after top-level value"},
		"far too much":    {strings.Repeat(" ", MaxSize+1), "at most"},
		"metrics no list": {`{"metrics":{"x":1}}`, "metrics"},
	} {
		t.Run(name, func(t *testing.T) {
			if h, err := Decode([]byte(c.text)); err == nil || h != nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, wanted %q", err, c.want)
			}
		})
	}
}

func TestRegistryViews(t *testing.T) {
	build := func(x86 bool, change func(*Registry)) rule.Registry {
		r := NewRegistry()
		r.SetText(rule.Native, `SOFTWARE\Native`, "V", "64")
		r.SetText(rule.WOW64, `SOFTWARE\Thirty`, "V", "32")
		r.SetKey(rule.Native, `SYSTEM\Setup`)
		change(r)
		h := Host{Registry: r, System: &rule.System{Architecture: map[bool]string{true: "x86", false: "x64"}[x86]}}
		return h.Facts().Registry
	}
	same := func(*Registry) {}
	none := func(r *Registry) { r.wow64 = nil }
	cases := []struct {
		registry rule.Registry
		view     rule.View
		path     string
		want     string // yes, no, or what the error contains
	}{
		{build(false, same), rule.Native, `software\NATIVE`, "yes"},
		{build(false, same), rule.Native, `SOFTWARE\Thirty`, "no"},
		{build(false, same), rule.Native, `SOFTWARE\WOW6432Node\Thirty`, "yes"},
		{build(false, same), rule.Native, `SOFTWARE\WOW6432Node\Native`, "no"},
		{build(false, same), rule.WOW64, `SOFTWARE\Thirty`, "yes"},
		{build(false, same), rule.WOW64, `SOFTWARE\Native`, "no"},
		{build(false, same), rule.WOW64, `SYSTEM\Setup`, "yes"},
		{build(false, none), rule.WOW64, `SOFTWARE\Thirty`, "not collected"},
		{build(false, none), rule.WOW64, `SYSTEM\Setup`, "yes"},
		{build(true, same), rule.WOW64, `SOFTWARE\Native`, "yes"},
		{build(true, none), rule.WOW64, `SOFTWARE\Native`, "yes"},
		{build(false, func(r *Registry) { r.native = nil }), rule.Native, `SOFTWARE`, "not collected"},
		{build(false, same), rule.Native, ``, "yes"},
		{build(false, func(r *Registry) { r.Partial = true }), rule.Native, `SOFTWARE\Native`, "yes"},
		{build(false, func(r *Registry) { r.Partial = true }), rule.Native, `SOFTWARE\Native\Below`, "no"},
		{build(false, func(r *Registry) { r.Partial = true }), rule.Native, `SOFTWARE\Other`, "not collected"},
		{build(false, func(r *Registry) { r.Deny(rule.Native, `SOFTWARE\Native`, "denied") }), rule.Native, `SOFTWARE\Native\Below`, "denied"},
		{build(false, func(r *Registry) { r.DeleteKey(rule.Native, `SOFTWARE\Native`) }), rule.Native, `SOFTWARE\Native`, "no"},
		{build(false, func(r *Registry) { r.DeleteKey(rule.Native, ``); r.DeleteKey(rule.Native, `None\At\All`) }), rule.Native, `SOFTWARE\Native`, "yes"},
	}
	for i, c := range cases {
		exists, err := c.registry.Key(c.view, c.path)
		got := map[bool]string{true: "yes", false: "no"}[exists]
		if err != nil {
			if _, has, _ := c.registry.Value(c.view, c.path, "V"); exists || has {
				t.Errorf("case %d, %s: exists although it cannot be read", i, c.path)
			}
			got = err.Error()
		}
		if got != c.want && !(err != nil && strings.Contains(got, c.want)) {
			t.Errorf("case %d, %s: got %s, wanted %s", i, c.path, got, c.want)
		}
		if _, _, verr := c.registry.Value(c.view, c.path, "V"); (verr != nil) != (err != nil) && !strings.Contains(verr.Error(), "not collected") {
			t.Errorf("case %d, %s: Key says %v, Value %v", i, c.path, err, verr)
		}
	}
}

func TestRegistryChanges(t *testing.T) {
	r := NewRegistry()
	view := Host{Registry: r}.facts()
	r.SetText(rule.Native, `SOFTWARE\App`, "Version", "1.0")
	r.SetNumber(rule.Native, `software\app`, "version", 2)
	if v, has, err := view.Value(rule.Native, `SOFTWARE\APP`, "VERSION"); !has || err != nil || v.Data != uint32(2) || v.Type != "REG_DWORD" {
		t.Fatal(v, has, err)
	}
	r.SetKey(rule.Native, `SOFTWARE\App\b`)
	r.SetKey(rule.Native, `SOFTWARE\App\A`)
	if names, exists, err := view.Subkeys(rule.Native, `SOFTWARE\App`); !exists || err != nil || !reflect.DeepEqual(names, []string{"A", "b"}) {
		t.Fatal(names, exists, err)
	}
	r.Delete(rule.Native, `SOFTWARE\App`, "vErsion")
	r.Delete(rule.Native, `SOFTWARE\None`, "x")
	if _, has, err := view.Value(rule.Native, `SOFTWARE\App`, "Version"); has || err != nil {
		t.Fatal("a deleted value is there", err)
	}
	if _, exists, err := view.Subkeys(rule.Native, `SOFTWARE\None`); exists || err != nil {
		t.Fatal(exists, err)
	}
	r.Partial = true
	if _, _, err := view.Subkeys(rule.Native, `SOFTWARE`); err == nil || !errors.Is(err, rule.ErrUnknown) {
		t.Fatal("the subkeys of a key that was not listed are told:", err)
	}
	if names, exists, err := view.Subkeys(rule.Native, `SOFTWARE\App`); len(names) != 2 || !exists || err != nil {
		t.Fatal("the subkeys of a key that was listed:", names, err)
	}
	if _, has, err := view.Value(rule.Native, `SOFTWARE\App`, "None"); has || err != nil {
		t.Fatal("the values of a key that was listed:", err)
	}
	if _, has, err := view.Value(rule.Native, `SOFTWARE`, "x"); has || !errors.Is(err, rule.ErrUnknown) {
		t.Fatal("the values of a key that was not listed are told:", err)
	}
}

func (h Host) facts() rule.Registry { return h.Facts().Registry }

func TestFiles(t *testing.T) {
	f := NewFiles()
	f.Folders = map[int]string{38: `D:\Programs\`}
	info := rule.FileInfo{Version: [4]uint16{1, 2, 3, 4}, Created: time.Unix(1, 0).UTC(), Modified: time.Unix(2, 0).UTC(), Size: 3, Language: 1031}
	f.Put(38, `App\app.exe`, info)
	f.Put(999, `odd.txt`, rule.FileInfo{})
	f.Put(0, `desktop.txt`, rule.FileInfo{Version: [4]uint16{65535, 65535, 65535, 65535}})
	if _, exists, _ := f.Stat(-1, "desktop.txt"); exists {
		t.Error("folder 0 is no folder")
	}
	written, err := json.Marshal(&f)
	if err != nil {
		t.Fatal(err)
	}
	again := NewFiles()
	if err := json.Unmarshal(written, again); err != nil {
		t.Fatal(err)
	}
	for _, at := range []struct {
		csidl int
		path  string
	}{{38, `App\app.exe`}, {0, "desktop.txt"}, {999, "odd.txt"}} {
		was, _, _ := f.Stat(at.csidl, at.path)
		if is, exists, err := again.Stat(at.csidl, at.path); !exists || err != nil || is != was {
			t.Errorf("%v: put %v, read %v %v %v", at, was, is, exists, err)
		}
	}
	for _, at := range []struct {
		csidl int
		path  string
	}{{38, `app\APP.EXE`}, {38, `\App\app.exe`}, {-1, `d:\programs\App\app.exe`}, {-1, `D:/Programs/App/app.exe`}} {
		if got, exists, err := f.Stat(at.csidl, at.path); !exists || err != nil || got != info {
			t.Errorf("%v: %v %v %v", at, got, exists, err)
		}
	}
	if _, exists, _ := f.Stat(999, "odd.txt"); !exists {
		t.Error("a file below a folder that is not known")
	}
	f.Delete(38, `App\app.exe`)
	if _, exists, err := f.Stat(38, `App\app.exe`); exists || err != nil {
		t.Error("a deleted file", exists, err)
	}
	f.Deny(-1, `C:\locked`, "in use")
	if _, _, err := f.Stat(-1, `C:\locked`); err == nil || err.Error() != "in use" {
		t.Error(err)
	}
	if _, exists, err := f.Stat(-1, `C:\other`); exists || err != nil {
		t.Error(exists, err)
	}
	f.Partial = true
	if _, exists, err := f.Stat(-1, `C:\other`); exists || !errors.Is(err, rule.ErrUnknown) {
		t.Error(exists, err)
	}
	if _, exists, err := f.Stat(38, `App\app.exe`); exists || err != nil {
		t.Error("a file known to be missing", exists, err)
	}
	(&Files{}).Put(-1, "x", rule.FileInfo{})
}

func TestInstaller(t *testing.T) {
	i := &Installer{}
	i.Install(Product{Code: "{a}", Version: "1", UpgradeCode: "{u}"})
	i.Install(Product{Code: "{A}", Version: "2", UpgradeCode: "{U}", Features: []string{"F"}})
	if p, installed, err := i.Product("{A}"); !installed || err != nil || p.Version != "2" || len(i.Products) != 1 {
		t.Fatal(p, installed, err, i.Products)
	}
	if related, _ := i.Related("{u}"); len(related) != 1 {
		t.Fatal(related)
	}
	if related, _ := i.Related(""); related != nil {
		t.Fatal(related)
	}
	if has, err := i.Feature("{a}", "f"); !has || err != nil {
		t.Fatal(has, err)
	}
	if _, err := i.Component("{a}", "c"); !errors.Is(err, rule.ErrUnknown) {
		t.Fatal(err)
	}
	if has, err := i.Patch("{b}", "p"); has || err != nil {
		t.Fatal(has, err)
	}
	if !i.Remove("{a}") || i.Remove("{a}") {
		t.Fatal("removed twice")
	}
}

func TestWMI(t *testing.T) {
	w := mustDecode(t, whole).WMI
	for query, want := range map[string]string{
		`root\cimv2|select odd`: "true",
		`ROOT\CIMV2|select * from c where n = 18446744073709551615`: "true",
		`root\cimv2|select * from C where N = 18446744073709551614`: "false",
		`root\cimv2|select * from Empty`:                            "false",
		`root\cimv2|select * from D`:                                "class D was not collected",
		`root\cimv2|select * from C where X = 1`:                    "property x was not collected",
		`root\cimv2|select even`:                                    "expected FROM",
		`root\gone|select * from D`:                                 "false",
		`root\other|select * from D`:                                "namespace root\\other was not collected",
	} {
		namespace, wql, _ := strings.Cut(query, "|")
		rows, err := w.Query(namespace, wql)
		switch {
		case want == "true" || want == "false":
			if err != nil || rows != (want == "true") {
				t.Errorf("%s: %v %v", query, rows, err)
			}
		case rows || err == nil || !errors.Is(err, rule.ErrUnknown) || !strings.Contains(err.Error(), want):
			t.Errorf("%s: %v %v", query, rows, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(`{"system":null,"registry":null,"wmi":{"namespaces":{"a":null}}}`))
	f.Add([]byte(`{"files":{"list":[]},"registry":{"native":{"\\\\a\\":{}}}}`))
	asked := []*rule.Rule{
		rule.Test("RegKeyExists", "Key", "HKEY_LOCAL_MACHINE", "Subkey", "a"), rule.Test("WmiQuery", "WqlQuery", "select * from c"),
		rule.Test("FileExists", "Path", "a"), rule.Test("WindowsVersion", "MajorVersion", "10"), rule.Test("Hotfix", "KB", "1"),
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := Decode(data)
		if err != nil {
			return
		}
		first, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(first)
		if err != nil {
			t.Fatalf("%s cannot be read again: %v", first, err)
		}
		for _, r := range asked {
			if was, is := rule.Evaluate(r, h.Facts(), nil), rule.Evaluate(r, back.Facts(), nil); was.Answer != is.Answer {
				t.Fatalf("%s: %v before, %v after it was written", r.Op, was, is)
			}
		}
	})
}
