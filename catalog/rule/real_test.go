package rule_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"thatch/catalog/rule"
	"thatch/catalog/rule/memory"
)

// vendorData finds the folder of real vendor files, or skips.
func vendorData(t testing.TB) string {
	t.Helper()
	if folder := os.Getenv("THATCH_DATA"); folder != "" {
		return folder
	}
	for up := "."; ; up = filepath.Join(up, "..") {
		if _, err := os.Stat(filepath.Join(up, "go.mod")); err == nil {
			folder := filepath.Join(up, "..", "shared", "data")
			if _, err := os.Stat(folder); err != nil {
				t.Skipf("skipped: no real vendor files: THATCH_DATA is not set and there is no %s", folder)
			}
			return folder
		}
		if abs, err := filepath.Abs(up); err != nil || abs == string(filepath.Separator) {
			t.Skip("skipped: no go.mod above")
		}
	}
}

// packageRules reads the rules of an SDP package in the plainest way: every element directly below IsInstalled,
// IsInstallable or IsSuperseded.
func packageRules(t testing.TB, path string) (rules []*rule.Rule) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	dec := xml.NewDecoder(file)
	var stack []*rule.Rule
	for {
		token, err := dec.Token()
		if err == io.EOF {
			return rules
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			node := &rule.Rule{Op: e.Name.Local, With: map[string]string{}}
			for _, a := range e.Attr {
				if a.Name.Space == "" && a.Name.Local != "xmlns" {
					node.With[a.Name.Local] = a.Value
				}
			}
			if len(stack) > 0 {
				parent := stack[len(stack)-1]
				parent.Rules = append(parent.Rules, node)
				if slices.Contains([]string{"IsInstalled", "IsInstallable", "IsSuperseded"}, parent.Op) {
					rules = append(rules, node)
				}
			}
			stack = append(stack, node)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		}
	}
}

const hpHost = `{"system":{"platform":"windows","major":10,"minor":0,"build":17763,"revision":316,"product_type":1,"architecture":"x64","languages":["en-us"]},
 "registry":{"native":{"SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion":{"values":{"ReleaseId":{"type":"REG_SZ","data":"1809"}}}},"wow64":{}},
 "files":{"list":[]},"installer":{"products":[]},
 "wmi":{"namespaces":{"root\\cimv2":{"classes":{
  "Win32_ComputerSystem":[{"Manufacturer":"HP","Model":"HP ProDesk 600 G4"}],"Win32_BaseBoard":[{"Product":"83EF"}],
  "Win32_BIOS":[{"ReleaseDate":"20190306000000.000000+000","Version":"HPQOEM - 0"}],
  "Win32_PnpEntity":[%s],"Win32_Product":[]}},"root\\dell\\sysinv":{"complete":true}}}}`

// hpComputer has as many devices as such computers do.
func hpComputer(t testing.TB) *memory.Host {
	var devices []string
	for i := range 160 {
		devices = append(devices, fmt.Sprintf(`{"DeviceID":"PCI\\VEN_8086\u0026DEV_%04X\u0026SUBSYS_83EF103C\u0026REV_10\\3\u002611583659\u00260\u0026%02X"}`, 0x1500+i*37, i))
	}
	return decodeHost(t, fmt.Sprintf(hpHost, strings.Join(devices, ",")))
}

// Every rule of real packages is well-formed, survives encoding, and can be told on a computer whose facts were
// collected; without them it cannot.
func TestRealPackages(t *testing.T) {
	folder := filepath.Join(vendorData(t), "sdp")
	packages, _ := filepath.Glob(filepath.Join(folder, "*", "*.sdp"))
	if len(packages) == 0 {
		t.Skipf("skipped: no packages in %s", folder)
	}
	full := rule.NewEvaluator(hpComputer(t).Facts(), nil)
	count, installable := 0, 0
	for _, path := range packages {
		for i, r := range packageRules(t, path) {
			count++
			name := fmt.Sprintf("%s rule %d", filepath.Base(path), i)
			if problems := rule.Check(r); len(problems) > 0 {
				t.Errorf("%s: %v", name, problems)
			}
			if ops := rule.Untold(r); len(ops) > 0 {
				t.Errorf("%s cannot be told: %v", name, ops)
			}
			text, err := rule.Encode(r)
			if err != nil {
				t.Fatal(err)
			}
			back, err := rule.Decode(text)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			verdict := full.Evaluate(back)
			if verdict.Answer == rule.Unknown {
				t.Errorf("%s: %v\n%s", name, verdict, full.Explain(back))
			}
			if verdict.Answer == rule.True {
				installable++
			}
			if blind := rule.Evaluate(r, nil, nil); blind.Answer != rule.Unknown {
				t.Errorf("%s: %v without any fact", name, blind)
			}
		}
	}
	if count < len(packages) || installable == 0 {
		t.Errorf("%d packages have %d rules, %d of them true", len(packages), count, installable)
	}
	t.Logf("%d packages, %d rules, %d true", len(packages), count, installable)
}

// likeHP makes the two rules of an update as HP writes them.
func likeHP(i int) (applicable, installed *rule.Rule) {
	boards := fmt.Sprintf("select * from Win32_BaseBoard where Product LIKE '%%%04x%%'", 0x8000+i%400)
	if i%2 == 0 { // far more often than on a real computer, so that the scan has to go on to the devices
		boards += " or Product LIKE '%83ef%'"
	}
	devices := "select * from Win32_PnpEntity where DeviceID LIKE '%PCI\\\\VEN_1002&DEV_9900%'"
	if i%4 == 0 {
		devices = "select * from Win32_PnpEntity where DeviceID LIKE '%PCI\\\\VEN_8086&DEV_15%'"
	}
	for j := range i % 12 {
		devices += fmt.Sprintf(" or DeviceID LIKE '%%PCI\\\\VEN_%04X&DEV_%04X%%'", 0x1000+i%800, i*31%0xffff+j)
	}
	systems := func(file bool) *rule.Rule {
		any := rule.Or()
		for _, system := range [][2]string{{"0", "1"}, {"9", "1"}, {"0", "3"}, {"9", "3"}, {"9", "10"}} {
			major := "6"
			if system[1] == "10" {
				major, system[1] = "10", "0"
			}
			and := rule.And(rule.Test("Processor", "Architecture", system[0]), rule.Test("WindowsVersion", "Comparison", "EqualTo", "MajorVersion", major, "MinorVersion", system[1]))
			if major == "10" {
				and.Rules = append(and.Rules, rule.Or(
					rule.Test("RegSz", "Key", "HKEY_LOCAL_MACHINE", "Subkey", `Software\Microsoft\Windows NT\CurrentVersion`, "Value", "ReleaseId", "Comparison", "EqualTo", "Data", "1709"),
					rule.Test("RegSz", "Key", "HKEY_LOCAL_MACHINE", "Subkey", `Software\Microsoft\Windows NT\CurrentVersion`, "Value", "ReleaseId", "Comparison", "EqualTo", "Data", "1809")))
			}
			if file {
				and.Rules = append(and.Rules, rule.Test("FileVersion", "Csidl", "37", "Path", fmt.Sprintf(`drivers\d%d.sys`, i%700), "Comparison", "GreaterThanOrEqualTo", "Version", "4.5.5086.14005"))
			}
			any.Rules = append(any.Rules, and)
		}
		return any
	}
	query := func(text string) *rule.Rule {
		return rule.Test("WmiQuery", "Namespace", `Root\cimv2`, "WqlQuery", text)
	}
	vendor := query("select * from Win32_ComputerSystem where (Manufacturer='Hewlett-Packard' and not (Model like '%Proliant%')) or (Manufacturer='HP') ")
	return rule.And(vendor, query(boards), query(devices), systems(false)), rule.And(query(boards), query(devices), systems(true))
}

// likeMSRC makes the two rules of a monthly update of Windows.
func likeMSRC(i int) (applicable, installed *rule.Rule) {
	build := fmt.Sprint([]int{14393, 17134, 17763, 18362}[i%4])
	return rule.And(rule.Test(rule.WindowsBuild, "Comparison", "EqualTo", "Build", build), rule.Test(rule.Architecture, "Is", "x64"), rule.Test(rule.ProductType, "Is", "workstation")),
		&rule.Rule{Op: rule.Prefer, Rules: []*rule.Rule{
			rule.Test(rule.WindowsBuild, "Comparison", "GreaterThanOrEqualTo", "Build", build, "Revision", fmt.Sprint(i%900)),
			rule.Test(rule.Hotfix, "KB", fmt.Sprint(4400000+i), "Product", "11568"),
		}}
}

// BenchmarkScan is a whole scan of 5,000 updates, half as HP writes them and half as they are made from Microsoft's
// documents, with a new evaluator and, of WMI, tables of 160 devices. Every update's two rules are evaluated.
func BenchmarkScan(b *testing.B) {
	const updates = 5000
	var rules []*rule.Rule
	for i := range updates / 2 {
		for _, make := range []func(int) (*rule.Rule, *rule.Rule){likeHP, likeMSRC} {
			applicable, installed := make(i)
			rules = append(rules, applicable, installed)
		}
	}
	f := hpComputer(b).Facts()
	f.Hotfixes = &rule.Hotfixes{KBs: []string{"4400001"}, Complete: true}
	b.ReportAllocs()
	for b.Loop() {
		e := rule.NewEvaluator(f, nil)
		for _, r := range rules {
			if v := e.Evaluate(r); v.Answer == rule.Unknown {
				b.Fatal(v)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(time.Millisecond), "ms/scan")
}

// BenchmarkDecode reads the rules of the same 5,000 updates, as parts of larger values.
func BenchmarkDecode(b *testing.B) {
	type update struct {
		Name       string
		Applicable *rule.Rule
		Installed  *rule.Rule
	}
	var bodies [][]byte
	size := 0
	for i := range 2500 {
		for _, make := range []func(int) (*rule.Rule, *rule.Rule){likeHP, likeMSRC} {
			applicable, installed := make(i)
			body, err := json.Marshal(update{"update", applicable, installed})
			if err != nil {
				b.Fatal(err)
			}
			bodies = append(bodies, body)
			size += len(body)
		}
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for _, body := range bodies {
			var u update
			if err := json.Unmarshal(body, &u); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(time.Millisecond), "ms/5000")
}
