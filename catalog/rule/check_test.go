package rule_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"thatch/catalog/rule"
)

func TestCheckNamesEveryProblem(t *testing.T) {
	deep := rule.Test("True")
	for range rule.MaxDepth {
		deep = rule.Not(deep)
	}
	wide := &rule.Rule{Op: "And", Rules: make([]*rule.Rule, rule.MaxNodes)}
	for i := range wide.Rules {
		wide.Rules[i] = rule.Test("True")
	}
	cases := []struct {
		rule *rule.Rule
		want []string // each problem whole
	}{
		{nil, []string{": there is no rule"}},
		{&rule.Rule{}, []string{": names no operator"}},
		{rule.And(), []string{"And: has no rule in it"}},
		{rule.And(nil, rule.Or()), []string{"And[0]: is empty", "And[1].Or: has no rule in it"}},
		{&rule.Rule{Op: "Not", Rules: []*rule.Rule{rule.Test("True"), rule.Test("False")}}, []string{"Not: has more than one rule in it"}},
		{&rule.Rule{Op: "True", Rules: []*rule.Rule{rule.Test("RegKeyExists")}}, []string{"True: has rules in it", "True[0].RegKeyExists: has no Key"}},
		{rule.Not(leaf(t, "RegSz Key=L Subkey=a Value=v Comparison=Like Data=x")), []string{`Not[0].RegSz: Comparison="Like" is not one of EqualTo, BeginsWith, Contains, EndsWith`}},
		{leaf(t, "RegDword Key=L Subkey=a Value=v Comparison=EqualTo Data=4294967296"), []string{`RegDword: Data="4294967296" is not a number from 0 to 4294967295`}},
		{rule.Test("RegKeyExists", "Key", "HKEY_CURRENT_USER", "Subkey", ""), []string{`RegKeyExists: Key="HKEY_CURRENT_USER" is not HKEY_LOCAL_MACHINE or HKEY_LOOP_TARGET`, `RegKeyExists: Subkey="" is not a path of 1 to 255 characters`}},
		{leaf(t, "RegKeyExists Key=T Subkey=a"), []string{"RegKeyExists: HKEY_LOOP_TARGET outside of RegKeyLoop"}},
		{leaf(t, "RegKeyExists Key=L Subkey=a RegType32=yes"), []string{`RegKeyExists: RegType32="yes" is not true or false`}},
		{leaf(t, "RegValueExists Key=L Subkey=a Type=REG_NONE"), []string{`RegValueExists: Type="REG_NONE" is not a registry type`}},
		{leaf(t, "RegSzToVersion Key=L Subkey=a Value=v Comparison=EqualTo Data=1.2.3.4.5"), []string{`RegSzToVersion: Data="1.2.3.4.5" is not a version of one to four numbers`}},
		{loop("a", "Some", vIs+`2"}}`), []string{`RegKeyLoop: TrueIf="Some" is not Any, All or None`}},
		{leaf(t, "FileVersion Path=a Comparison=EqualTo Version=1.2.3"), []string{`FileVersion: Version="1.2.3" is not a version of four numbers up to 65535`}},
		{leaf(t, "FileVersion Path=a Comparison=EqualTo Version=1.2.3.65536 Csidl=x"), []string{`FileVersion: Csidl="x" is not the number of a folder`, `FileVersion: Version="1.2.3.65536" is not a version of four numbers up to 65535`}},
		{leaf(t, "FileCreated Path=a Comparison=EqualTo Created=today"), []string{`FileCreated: Created="today" is not a date and time`}},
		{leaf(t, "FileSize Path=a Comparison=EqualTo Size=-1"), []string{`FileSize: Size="-1" is not a number that is not negative`}},
		{leaf(t, "WindowsVersion Comparison=EqualTo"), []string{"WindowsVersion: compares nothing"}},
		{leaf(t, "WindowsLanguage Language=german!"), []string{`WindowsLanguage: Language="german!" is not a language tag`}},
		{leaf(t, "MsiProductInstalled ProductCode=FB2B7CC0-8307-47E6-A065-11015CC96B99"), []string{`MsiProductInstalled: ProductCode="FB2B7CC0-8307-47E6-A065-11015CC96B99" is not a GUID in braces`}},
		{leaf(t, "MsiProductInstalled ProductCode="+guidB+" Language=de"), []string{`MsiProductInstalled: Language="de" is not a number`}},
		{parts(feature, nil, "Feature", "Word", "Oddity", "x"), []string{feature + ": names no Product", feature + "[1].Oddity: is none of Feature, Product"}},
		{rule.Test("MsiPatchInstalled"), []string{"MsiPatchInstalled: has no MsiPatchMetadata"}},
		{rule.Test("MsiApplicationInstallable"), []string{"MsiApplicationInstallable: has no MsiApplicationMetadata"}},
		{application("MsiApplicationInstalled"), []string{"MsiApplicationInstalled: its metadata have no ProductCode that is a GUID in braces"}},
		{application("MsiApplicationSuperseded", "ProductCode", guidA+"1}", "ProductVersion", "new"), []string{`MsiApplicationSuperseded: ProductVersion "new" is not a version`}},
		{patch("MsiPatchInstalled", "", guidA+"1}", "", "", ""), []string{"MsiPatchInstalled: has no MsiPatch with a PatchGUID in its metadata"}},
		{patch("MsiPatchInstalled", guidD, "", "", "", ""), []string{"MsiPatchInstalled: has a patch that names no target product"}},
		{patch("MsiPatchInstalled", guidD, guidA+"1}", "new", "Like", "Major"), []string{`MsiPatchInstalled: TargetVersion "new" is not a version`, `MsiPatchInstalled: ComparisonType="Like" is not None or one of LessThan, LessThanOrEqualTo, EqualTo, GreaterThanOrEqualTo, GreaterThan`}},
		{leaf(t, "Hotfix KB=KB4487044"), []string{`Hotfix: KB="KB4487044" is not digits alone`}},
		{leaf(t, "Architecture Is=amd64"), []string{`Architecture: Is="amd64" is not x86, x64, arm, arm64 or ia64`}},
		{leaf(t, "InstalledOnce"), []string{"InstalledOnce: has no Update"}},
		{deep, []string{strings.Repeat("Not[0].", rule.MaxDepth) + "True: is deeper than 64 levels"}},
		{wide, []string{"And: has more than 20000 nodes"}},
	}
	for _, c := range cases {
		var got []string
		for _, p := range rule.Check(c.rule) {
			got = append(got, p.Error())
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("got\n%s\nwanted\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

func TestCheckAllows(t *testing.T) {
	for _, r := range []*rule.Rule{
		decodeRule(`{"op":"Oracle","with":{"Anything":""},"rules":[{"op":"True"}]}`),
		decodeRule(`{"op":"RegKeyExists","with":{"Key":"HKEY_LOCAL_MACHINE","Subkey":"a","LaterAttribute":"x"}}`),
		loop("a", "None", `{"op":"And","rules":[`+deepExists+`,`+nameIsA+`]}`),
		leaf(t, "RegSz Key=L Subkey=a Value= Comparison=EqualTo Data="),
		leaf(t, "FileExists Path=a Csidl=37 Created=2015-12-21T11:48:00 Modified=2015-12-21T11:48:00.5+02:00"),
		leaf(t, "MsiProductInstalled ProductCode="+guidB+" VersionMin=1.6 ExcludeVersionMin=1"),
		patch("MsiPatchInstallable", guidD, guidA+"1}", "1.0", "EqualTo", "Major"),
		application("MsiApplicationInstalled", "ProductCode", guidA+"1}"),
		parts(component, allOfThem, "Component", guidC, "Product", guidA+"1}"),
	} {
		if problems := rule.Check(r); len(problems) > 0 {
			t.Errorf("%s: %v", r.Op, problems)
		}
	}
}

// A rule that Check finds nothing wrong with is never called malformed when it is evaluated, and one that evaluation
// calls malformed has a problem.
func TestCheckAgreesWithEvaluation(t *testing.T) {
	f := decodeHost(t, hostJSON).Facts()
	ask := func(r *rule.Rule) {
		text, _ := rule.Encode(r)
		verdict := rule.Evaluate(r, f, nil)
		if malformed := strings.Contains(verdict.Because, "malformed"); malformed && len(rule.Check(r)) == 0 {
			t.Errorf("%s: %v, but Check finds nothing", text, verdict)
		}
	}
	for line := range leaves {
		ask(leaf(t, line))
	}
	for _, c := range composites {
		ask(c.rule)
	}
}

func TestUntold(t *testing.T) {
	r := rule.And(rule.Test("True"), rule.Not(rule.Test("Oracle")), rule.Test("GenericQuery"), rule.Or(rule.Test("Oracle"), rule.Test("WindowsDriverInstalled")), nil,
		parts(feature, nil, "Feature", "Word", "Product", guidA+"1}"), patch("MsiPatchInstalled", guidD, guidA+"1}", "", "", ""))
	if got := rule.Untold(r); !reflect.DeepEqual(got, []string{"GenericQuery", "Oracle", "WindowsDriverInstalled"}) {
		t.Error(got)
	}
	if got := rule.Untold(nil); got != nil {
		t.Error(got)
	}
}

func TestAnswersAsText(t *testing.T) {
	for answer, text := range map[rule.Answer]string{rule.True: "true", rule.False: "false", rule.Unknown: "unknown"} {
		out, err := answer.MarshalText()
		var back rule.Answer
		if err != nil || string(out) != text || back.UnmarshalText(out) != nil || back != answer {
			t.Errorf("%v: %s, %v, %v", answer, out, err, back)
		}
	}
	var a rule.Answer
	if err := a.UnmarshalText([]byte("maybe")); err == nil || a != rule.Unknown {
		t.Error(a, err)
	}
	if got := fmt.Sprint(rule.Unknown, rule.True, rule.False); got != "cannot tell true false" {
		t.Error(got)
	}
}
