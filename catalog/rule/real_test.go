package rule_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"thatch/catalog/rule"
	"thatch/catalog/rule/ruletest"
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

// Every rule of real packages is well-formed, survives encoding, and can be told on a computer whose facts were
// collected; without them it cannot.
func TestRealPackages(t *testing.T) {
	folder := filepath.Join(vendorData(t), "sdp")
	packages, _ := filepath.Glob(filepath.Join(folder, "*", "*.sdp"))
	if len(packages) == 0 {
		t.Skipf("skipped: no packages in %s", folder)
	}
	full := rule.NewEvaluator(ruletest.HPComputer(t).Facts(), nil)
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

// BenchmarkScan is a whole scan of 5,000 updates, half as HP writes them and half as they are made from Microsoft's
// documents, with a new evaluator and, of WMI, tables of 160 devices. Every update's two rules are evaluated.
func BenchmarkScan(b *testing.B) {
	const updates = 5000
	var rules []*rule.Rule
	for i := range updates / 2 {
		for _, make := range []func(int) (*rule.Rule, *rule.Rule){ruletest.LikeHP, ruletest.LikeMSRC} {
			applicable, installed := make(i)
			rules = append(rules, applicable, installed)
		}
	}
	f := ruletest.HPComputer(b).Facts()
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
		for _, make := range []func(int) (*rule.Rule, *rule.Rule){ruletest.LikeHP, ruletest.LikeMSRC} {
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
