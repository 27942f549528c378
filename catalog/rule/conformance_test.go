package rule_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"thatch/catalog/rule"
	"thatch/catalog/rule/memory"
)

// hostJSON is the computer that the tables are about.
const hostJSON = `{
 "system": {"platform":"windows","product":"Windows 10 Version 1809 for x64-based Systems","major":10,"minor":0,"build":17763,"revision":316,
  "service_pack_major":1,"suite_mask":272,"product_type":1,"installation_type":"client","architecture":"x64","languages":["de-de","en-us"],"processors":8},
 "registry": {
  "native": {
   "SOFTWARE\\Example": {"values": {
     "Text":{"type":"REG_SZ","data":"Hello World"}, "":{"type":"REG_SZ","data":"default"}, "Ended":{"type":"REG_SZ","data":"7\u0000"},
     "Version":{"type":"REG_SZ","data":"6.3"}, "Garbage":{"type":"REG_SZ","data":"six"}, "Long":{"type":"REG_SZ","data":"1.2.3.4.5"},
     "Number":{"type":"REG_DWORD","data":7}, "Huge":{"type":"REG_DWORD","data":4294967295}, "Quad":{"type":"REG_QWORD","data":7},
     "Expand":{"type":"REG_EXPAND_SZ","data":"C:\\Windows"}, "Variable":{"type":"REG_EXPAND_SZ","data":"%SystemRoot%\\x"},
     "Folder":{"type":"REG_SZ","data":"C:\\Program Files\\App\\"}, "Resource":{"type":"REG_SZ","data":"Disk"}}},
   "SOFTWARE\\Example\\Empty": {}, "SOFTWARE\\Example\\Secret": {"unreadable":"access denied"},
   "SOFTWARE\\Loop\\One": {"values":{"V":{"type":"REG_DWORD","data":1},"Name":{"type":"REG_SZ","data":"A"}}},
   "SOFTWARE\\Loop\\Two": {"values":{"V":{"type":"REG_DWORD","data":2},"Name":{"type":"REG_SZ","data":"A"}}},
   "SOFTWARE\\Loop\\Two\\Deep": {"values":{"V":{"type":"REG_DWORD","data":3}}},
   "SOFTWARE\\Mixed\\One": {"values":{"V":{"type":"REG_DWORD","data":1}}}, "SOFTWARE\\Mixed\\Two": {"unreadable":"access denied"}
  },
  "wow64": {"SOFTWARE\\Example32": {"values":{"Text":{"type":"REG_SZ","data":"thirty-two"}}}}},
 "files": {"list": [
   {"csidl":37,"path":"example.dll","version":"1.2.3.4","created":"2020-01-01T00:00:00Z","modified":"2020-02-01T00:00:00.5Z","size":4096,"language":1031},
   {"path":"C:\\Program Files\\App\\app.exe","version":"2.0.0.0","size":1}, {"csidl":37,"path":"locked.sys","unreadable":"sharing violation"}]},
 "installer": {"products": [
   {"code":"{AAAAAAAA-0000-0000-0000-000000000001}","version":"1.6.6","language":1033,"upgrade_code":"{BBBBBBBB-0000-0000-0000-000000000001}",
    "features":["Word","Excel"],"components":["{CCCCCCCC-0000-0000-0000-000000000001}"],"patches":["{DDDDDDDD-0000-0000-0000-000000000001}"]},
   {"code":"{AAAAAAAA-0000-0000-0000-000000000002}","version":"2.0.0","features":["Word"],"components":[],"patches":[]},
   {"code":"{AAAAAAAA-0000-0000-0000-000000000003}","version":"1.0.0"},
   {"code":"{AAAAAAAA-0000-0000-0000-000000000004}","version":"unreleased"}]},
 "wmi": {"namespaces":{"root\\cimv2":{"classes":{"Win32_BIOS":[{"Manufacturer":"HP"}]}},"root\\none":{"complete":true}}},
 "hotfixes": {"kbs":["4480116"],"complete":true},
 "metrics": {"86":1}, "cluster": {"member":true,"owned":["my Disk 1"]}, "history": {"updates":["u1"]}
}`

const (
	guidA = "{AAAAAAAA-0000-0000-0000-00000000000"
	guidB = "{BBBBBBBB-0000-0000-0000-000000000001}"
	guidC = "{CCCCCCCC-0000-0000-0000-000000000001}"
	guidD = "{DDDDDDDD-0000-0000-0000-000000000001}"
)

func decodeHost(t testing.TB, text string) *memory.Host {
	t.Helper()
	h, err := memory.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// leaf reads "RegSz Key=K Value='a b'" into a rule. Key=L and Key=T stand for the two hives.
func leaf(t testing.TB, line string) *rule.Rule {
	t.Helper()
	var parts []string
	for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimSpace(rest) {
		cut := strings.IndexByte(rest, ' ')
		if q := strings.Index(rest, "='"); q >= 0 && (cut < 0 || q < cut) {
			cut = q + 2 + strings.IndexByte(rest[q+2:], '\'') + 1
		}
		if cut < 0 || cut > len(rest) {
			cut = len(rest)
		}
		parts = append(parts, rest[:cut])
		rest = rest[cut:]
	}
	r := &rule.Rule{Op: parts[0], With: map[string]string{}}
	for _, part := range parts[1:] {
		name, value, has := strings.Cut(part, "=")
		if !has {
			t.Fatalf("%s: %q is no attribute", line, part)
		}
		value = strings.Trim(value, "'")
		if name == "Key" {
			value = map[string]string{"L": "HKEY_LOCAL_MACHINE", "T": "HKEY_LOOP_TARGET"}[value]
		}
		r.With[name] = value
	}
	return r
}

// want is "true", "false", or what the reason of an unknown contains.
func expect(t *testing.T, r *rule.Rule, f *rule.Facts, k rule.Knowledge, want string) {
	t.Helper()
	verdict := rule.Evaluate(r, f, k)
	explained := rule.Explain(r, f, k)
	text, _ := rule.Encode(r)
	if explained.Answer != verdict.Answer || strings.Join(explained.Why, "; ") != verdict.Because {
		t.Errorf("%s: evaluated %v, explained %v %v", text, verdict, explained.Answer, explained.Why)
	}
	switch {
	case want == "true" || want == "false":
		if verdict.Answer.String() != want || verdict.Because != "" {
			t.Errorf("%s: got %v, wanted %s\n%s", text, verdict, want, explained)
		}
	case verdict.Answer != rule.Unknown || !strings.Contains(verdict.Because, want):
		t.Errorf("%s: got %v, wanted unknown with %q\n%s", text, verdict, want, explained)
	}
}

// leaves maps a leaf to what is expected of it on the host.
var leaves = map[string]string{
	"True": "true", "False": "false",

	`RegKeyExists Key=L Subkey=SOFTWARE\Example`:                                                 "true",
	`RegKeyExists Key=L Subkey=software\\example\`:                                               "true",
	`RegKeyExists Key=L Subkey=SOFTWARE\Example\Empty`:                                           "true",
	`RegKeyExists Key=L Subkey=SOFTWARE\Example32`:                                               "false",
	`RegKeyExists Key=L Subkey=SOFTWARE\Example32 RegType32=true`:                                "true",
	`RegKeyExists Key=L Subkey=SOFTWARE\Example32 RegType32=1`:                                   "true",
	`RegKeyExists Key=L Subkey=SOFTWARE\WOW6432Node\Example32`:                                   "true",
	`RegKeyExists Key=L Subkey=SOFTWARE\Example RegType32=true`:                                  "false",
	`RegKeyExists Key=L Subkey=SOFTWARE\Example\Secret`:                                          "access denied",
	`RegKeyExists Key=L Subkey=SOFTWARE\Example\Secret\Below`:                                    "access denied",
	`RegKeyExists Key=T Subkey=SOFTWARE\Example`:                                                 "HKEY_LOOP_TARGET outside of RegKeyLoop",
	`RegKeyExists Key=X Subkey=SOFTWARE\Example`:                                                 `malformed rule: RegKeyExists Key=""`,
	`RegKeyExists Subkey=SOFTWARE\Example`:                                                       "RegKeyExists has no Key",
	`RegKeyExists Key=L`:                                                                         "RegKeyExists has no Subkey",
	`RegValueExists Key=L Subkey=SOFTWARE\Example Value=text`:                                    "true",
	`RegValueExists Key=L Subkey=SOFTWARE\Example`:                                               "true",
	`RegValueExists Key=L Subkey=SOFTWARE\Example Value=Text Type=REG_SZ`:                        "true",
	`RegValueExists Key=L Subkey=SOFTWARE\Example Value=Text Type=REG_DWORD`:                     "false",
	`RegValueExists Key=L Subkey=SOFTWARE\Example Value=Nothing`:                                 "false",
	`RegValueExists Key=L Subkey=SOFTWARE\Nothing Value=Text`:                                    "false",
	`RegValueExists Key=L Subkey=SOFTWARE\Example\Empty`:                                         "false",
	`RegValueExists Key=L Subkey=SOFTWARE\Example\Secret Value=Text`:                             `\SOFTWARE\Example\Secret "Text": access denied`,
	`RegDword Key=L Subkey=SOFTWARE\Example Value=Number Comparison=EqualTo Data=7`:              "true",
	`RegDword Key=L Subkey=SOFTWARE\Example Value=Number Comparison=LessThan Data=7`:             "false",
	`RegDword Key=L Subkey=SOFTWARE\Example Value=Number Comparison=LessThanOrEqualTo Data=7`:    "true",
	`RegDword Key=L Subkey=SOFTWARE\Example Value=Number Comparison=GreaterThanOrEqualTo Data=8`: "false",
	`RegDword Key=L Subkey=SOFTWARE\Example Value=Number Comparison=GreaterThan Data=6`:          "true",
	`RegDword Key=L Subkey=SOFTWARE\Example Value=Huge Comparison=GreaterThan Data=2147483648`:   "true",
	`RegDword Key=L Subkey=SOFTWARE\Example Value=Number Comparison=NotEqualTo Data=6`:           `comparison "NotEqualTo" is not known`,
	`RegDword Key=L Subkey=SOFTWARE\Example Value=Number Comparison=EqualTo Data=-1`:             `Data="-1"`,
	`RegDword Key=L Subkey=SOFTWARE\Example Value=Number Comparison=EqualTo`:                     "has no Data",
	`RegDword Key=L Subkey=SOFTWARE\Example Value=Nothing Comparison=EqualTo Data=7`:             "false",
	`RegDword Key=L Subkey=SOFTWARE\Nothing Value=Nothing Comparison=EqualTo Data=7`:             "false",
	`RegDword Key=L Subkey=SOFTWARE\Example Value=Text Comparison=EqualTo Data=7`:                "another type",
	`RegDword Key=L Subkey=SOFTWARE\Example Value=Quad Comparison=EqualTo Data=7`:                "another type",

	`RegSz Key=L Subkey=SOFTWARE\Example Value=Text Comparison=EqualTo Data='hello WORLD'`:                    "true",
	`RegSz Key=L Subkey=SOFTWARE\Example Value=Text Comparison=EqualTo Data=Hello`:                            "false",
	`RegSz Key=L Subkey=SOFTWARE\Example Value=Text Comparison=BeginsWith Data=HELLO`:                         "true",
	`RegSz Key=L Subkey=SOFTWARE\Example Value=Text Comparison=BeginsWith Data=World`:                         "false",
	`RegSz Key=L Subkey=SOFTWARE\Example Value=Text Comparison=Contains Data='o w'`:                           "true",
	`RegSz Key=L Subkey=SOFTWARE\Example Value=Text Comparison=Contains Data=xyz`:                             "false",
	`RegSz Key=L Subkey=SOFTWARE\Example Value=Text Comparison=EndsWith Data=world`:                           "true",
	`RegSz Key=L Subkey=SOFTWARE\Example Value=Text Comparison=EndsWith Data=hello`:                           "false",
	`RegSz Key=L Subkey=SOFTWARE\Example Value=Text Comparison=Like Data=hello`:                               `Comparison="Like"`,
	`RegSz Key=L Subkey=SOFTWARE\Example Value= Comparison=EqualTo Data=default`:                              "true",
	`RegSz Key=L Subkey=SOFTWARE\Example Value=Ended Comparison=EqualTo Data=7`:                               "true",
	`RegSz Key=L Subkey=SOFTWARE\Example Value=Nothing Comparison=EqualTo Data=7`:                             "false",
	`RegSz Key=L Subkey=SOFTWARE\Example Value=Number Comparison=EqualTo Data=7`:                              "another type",
	`RegSz Key=L Subkey=SOFTWARE\Example Value=Expand Comparison=EqualTo Data=C:\Windows`:                     "another type",
	`RegSz Key=L Subkey=SOFTWARE\Example32 Value=Text Comparison=EqualTo Data=thirty-two RegType32=true`:      "true",
	`RegExpandSz Key=L Subkey=SOFTWARE\Example Value=Expand Comparison=EqualTo Data=c:\windows`:               "true",
	`RegExpandSz Key=L Subkey=SOFTWARE\Example Value=Expand Comparison=EqualTo Data=d:\windows`:               "false",
	`RegExpandSz Key=L Subkey=SOFTWARE\Example Value=Variable Comparison=EqualTo Data=c:\windows\x`:           "were not expanded",
	`RegExpandSz Key=L Subkey=SOFTWARE\Example Value=Variable Comparison=BeginsWith Data=%systemroot%`:        "true",
	`RegExpandSz Key=L Subkey=SOFTWARE\Example Value=Text Comparison=EqualTo Data=x`:                          "another type",
	`RegSzToVersion Key=L Subkey=SOFTWARE\Example Value=Version Comparison=EqualTo Data=6.3.0.0`:              "true",
	`RegSzToVersion Key=L Subkey=SOFTWARE\Example Value=Version Comparison=LessThan Data=6.10.0.0`:            "true",
	`RegSzToVersion Key=L Subkey=SOFTWARE\Example Value=Version Comparison=GreaterThanOrEqualTo Data=6.3.0.1`: "false",
	`RegSzToVersion Key=L Subkey=SOFTWARE\Example Value=Long Comparison=GreaterThan Data=1.2.3.4`:             "true",
	`RegSzToVersion Key=L Subkey=SOFTWARE\Example Value=Garbage Comparison=LessThan Data=6.3.0.0`:             `version "six"`,
	`RegSzToVersion Key=L Subkey=SOFTWARE\Example Value=Nothing Comparison=LessThan Data=6.3.0.0`:             "false",
	`RegSzToVersion Key=L Subkey=SOFTWARE\Example Value=Version Comparison=LessThan Data=new`:                 `Data="new"`,
	`RegSzToVersion Key=L Subkey=SOFTWARE\Example Value=Number Comparison=LessThan Data=6.3.0.0`:              "another type",

	`FileExists Csidl=37 Path=example.dll`:                                                                                              "true",
	`FileExists Csidl=37 Path=\\EXAMPLE.DLL`:                                                                                            "true",
	`FileExists Path=C:\Windows\\System32\example.dll`:                                                                                  "true",
	`FileExists Csidl=36 Path=system32\example.dll`:                                                                                     "true",
	`FileExists Csidl=36 Path=example.dll`:                                                                                              "false",
	`FileExists Csidl=37 Path=locked.sys`:                                                                                               `folder 37\locked.sys: sharing violation`,
	`FileExists Csidl=x Path=locked.sys`:                                                                                                `Csidl="x"`,
	`FileExists Csidl=37 Path=example.dll Version=1.2.3.4`:                                                                              "true",
	`FileExists Csidl=37 Path=example.dll Version=1.2.3.5`:                                                                              "false",
	`FileExists Csidl=37 Path=example.dll Size=4096 Language=1031`:                                                                      "true",
	`FileExists Csidl=37 Path=example.dll Size=4096 Language=1033`:                                                                      "false",
	`FileExists Csidl=37 Path=example.dll Size=big`:                                                                                     `Size="big"`,
	`FileExists Csidl=37 Path=example.dll Created=2020-01-01T00:00:00`:                                                                  "true",
	`FileExists Csidl=37 Path=example.dll Modified=2020-02-01T00:00:00`:                                                                 "true",
	`FileExists Csidl=37 Path=example.dll Modified=2020-02-02T00:00:00`:                                                                 "false",
	`FileExists Path='C:\Program Files\App\app.exe' Created=2020-02-02T00:00:00`:                                                        "was not read",
	`FileVersion Csidl=37 Path=example.dll Comparison=GreaterThanOrEqualTo Version=1.2.3.4`:                                             "true",
	`FileVersion Csidl=37 Path=example.dll Comparison=GreaterThan Version=1.2.3.4`:                                                      "false",
	`FileVersion Csidl=37 Path=example.dll Comparison=LessThan Version=1.10.0.0`:                                                        "true",
	`FileVersion Csidl=37 Path=missing.dll Comparison=LessThan Version=1.10.0.0`:                                                        "false",
	`FileVersion Csidl=37 Path=locked.sys Comparison=LessThan Version=1.10.0.0`:                                                         "sharing violation",
	`FileVersion Csidl=37 Path=example.dll Comparison=LessThan Version=x`:                                                               `Version="x"`,
	`FileVersion Path=example.dll Comparison=LessThan`:                                                                                  "has no Version",
	`FileCreated Csidl=37 Path=example.dll Comparison=EqualTo Created=2020-01-01T01:00:00+01:00`:                                        "true",
	`FileCreated Csidl=37 Path=example.dll Comparison=LessThan Created=2020-01-01T00:00:00Z`:                                            "false",
	`FileCreated Csidl=37 Path=example.dll Comparison=LessThan Created=yesterday`:                                                       `Created="yesterday"`,
	`FileCreated Csidl=37 Path=missing.dll Comparison=LessThan Created=2020-01-01T00:00:00Z`:                                            "false",
	`FileModified Csidl=37 Path=example.dll Comparison=GreaterThan Modified=2020-01-01T00:00:00Z`:                                       "true",
	`FileModified Csidl=37 Path=example.dll Comparison=GreaterThan Modified=2020-02-01T00:00:00Z`:                                       "false",
	`FileModified Csidl=37 Path=locked.sys Comparison=GreaterThan Modified=2020-02-01T00:00:00Z`:                                        "sharing violation",
	`FileSize Csidl=37 Path=example.dll Comparison=EqualTo Size=4096`:                                                                   "true",
	`FileSize Csidl=37 Path=example.dll Comparison=GreaterThan Size=4096`:                                                               "false",
	`FileSize Csidl=37 Path=missing.dll Comparison=GreaterThan Size=4096`:                                                               "false",
	`FileSize Csidl=37 Path=locked.sys Comparison=GreaterThan Size=4096`:                                                                "sharing violation",
	`FileExistsPrependRegSz Key=L Subkey=SOFTWARE\Example Value=Folder Path=app.exe`:                                                    "true",
	`FileExistsPrependRegSz Key=L Subkey=SOFTWARE\Example Value=Folder Path=\none.exe`:                                                  "false",
	`FileExistsPrependRegSz Key=L Subkey=SOFTWARE\Example Value=Nothing Path=app.exe`:                                                   "false",
	`FileExistsPrependRegSz Key=L Subkey=SOFTWARE\Example Value=Number Path=app.exe`:                                                    "another type",
	`FileExistsPrependRegSz Key=L Subkey=SOFTWARE\Example\Secret Value=Folder Path=app.exe`:                                             "access denied",
	`FileVersionPrependRegSz Key=L Subkey=SOFTWARE\Example Value=Folder Path=app.exe Comparison=EqualTo Version=2.0.0.0`:                "true",
	`FileVersionPrependRegSz Key=L Subkey=SOFTWARE\Example Value=Folder Path=app.exe Comparison=LessThan Version=2.0.0.0`:               "false",
	`FileVersionPrependRegSz Key=L Subkey=SOFTWARE\Example\Secret Value=Folder Path=app.exe Comparison=LessThan Version=2.0.0.0`:        "access denied",
	`FileSizePrependRegSz Key=L Subkey=SOFTWARE\Example Value=Folder Path=app.exe Comparison=EqualTo Size=1`:                            "true",
	`FileSizePrependRegSz Key=L Subkey=SOFTWARE\Example Value=Folder Path=app.exe Comparison=EqualTo Size=2`:                            "false",
	`FileSizePrependRegSz Key=L Subkey=SOFTWARE\Example Value=Number Path=app.exe Comparison=EqualTo Size=2`:                            "another type",
	`FileCreatedPrependRegSz Key=L Subkey=SOFTWARE\Example Value=Folder Path=app.exe Comparison=EqualTo Created=2020-02-01T00:00:00Z`:   "was not read",
	`FileCreatedPrependRegSz Key=L Subkey=SOFTWARE\Example Value=Nothing Path=app.exe Comparison=EqualTo Created=2020-02-01T00:00:00Z`:  "false",
	`FileModifiedPrependRegSz Key=L Subkey=SOFTWARE\Example Value=Folder Path=app.exe Comparison=EqualTo Modified=2020-02-01T00:00:00Z`: "was not read",
	`FileModifiedPrependRegSz Key=L Subkey=SOFTWARE\Example Value=Folder Path=none Comparison=EqualTo Modified=2020-02-01T00:00:00Z`:    "false",

	"WindowsVersion MajorVersion=10":                                                                                      "true",
	"WindowsVersion MajorVersion=6":                                                                                       "false",
	"WindowsVersion Comparison=EqualTo MajorVersion=10 MinorVersion=0":                                                    "true",
	"WindowsVersion Comparison=GreaterThanOrEqualTo MajorVersion=6 MinorVersion=3":                                        "true",
	"WindowsVersion Comparison=GreaterThan MajorVersion=10 MinorVersion=0":                                                "false",
	"WindowsVersion Comparison=LessThan MajorVersion=11 MinorVersion=0 ServicePackMajor=0":                                "true",
	"WindowsVersion Comparison=GreaterThanOrEqualTo MajorVersion=5 MinorVersion=0 ServicePackMajor=4":                     "true",
	"WindowsVersion Comparison=GreaterThanOrEqualTo MajorVersion=10 MinorVersion=0 ServicePackMajor=2":                    "false",
	"WindowsVersion Comparison=GreaterThanOrEqualTo MajorVersion=10 MinorVersion=0 ServicePackMajor=1 ServicePackMinor=1": "false",
	"WindowsVersion Comparison=GreaterThanOrEqualTo MajorVersion=10 MinorVersion=0 BuildNumber=17763":                     "true",
	"WindowsVersion Comparison=GreaterThanOrEqualTo MajorVersion=10 MinorVersion=0 BuildNumber=18362":                     "false",
	"WindowsVersion Comparison=LessThan BuildNumber=18362":                                                                "true",
	"WindowsVersion Comparison=LessThanOrEqualTo MajorVersion=10 MinorVersion=0 BuildNumber=17134":                        "false",
	"WindowsVersion SuiteMask=272":                                                                                        "true",
	"WindowsVersion SuiteMask=273":                                                                                        "true",
	"WindowsVersion SuiteMask=273 AllSuitesMustBePresent=true":                                                            "false",
	"WindowsVersion SuiteMask=256 AllSuitesMustBePresent=true":                                                            "true",
	"WindowsVersion SuiteMask=1":                                                                                          "false",
	"WindowsVersion ProductType=1":                                                                                        "true",
	"WindowsVersion Comparison=LessThan ProductType=3":                                                                    "false",
	"WindowsVersion MajorVersion=10 ProductType=3":                                                                        "false",
	"WindowsVersion":                                              "compares nothing",
	"WindowsVersion Comparison=EqualTo":                           "compares nothing",
	"WindowsVersion MajorVersion=ten":                             `MajorVersion="ten"`,
	"WindowsVersion Comparison=Like MajorVersion=10":              `"Like" is not known`,
	"WindowsLanguage Language=de":                                 "true",
	"WindowsLanguage Language=DE-de":                              "true",
	"WindowsLanguage Language=de-at":                              "false",
	"WindowsLanguage Language=en":                                 "false",
	"WindowsLanguage":                                             "has no Language",
	"MuiInstalled":                                                "false",
	"MuiLanguageInstalled Language=de":                            "false",
	"SystemMetric Comparison=EqualTo Index=86 Value=1":            "true",
	"SystemMetric Comparison=GreaterThan Index=86 Value=1":        "false",
	"SystemMetric Comparison=EqualTo Index=87 Value=1":            "system metric 87: it was not collected",
	"SystemMetric Comparison=EqualTo Index=86 Value=y":            `Value="y"`,
	"Processor Architecture=9":                                    "true",
	"Processor Architecture=0":                                    "false",
	"Processor Architecture=77":                                   "false",
	"Processor Architecture=9 Level=6":                            "level of the processor is not read",
	"Processor Architecture=0 Level=6":                            "false",
	"Processor Architecture=x64":                                  `Architecture="x64"`,
	"NumberOfProcessors Comparison=GreaterThanOrEqualTo Number=8": "true",
	"NumberOfProcessors Comparison=LessThan Number=8":             "false",
	"NumberOfProcessors Comparison=LessThan Number=many":          `Number="many"`,
	"ClusteredOS": "false",
	`ClusterResourceOwner Key=L Subkey=SOFTWARE\Example Value=Resource`:             "false",
	`WmiQuery Namespace=Root\cimv2 WqlQuery='select * from Win32_BIOS'`:             "true",
	`WmiQuery WqlQuery='select * from Win32_BIOS where Manufacturer like "%dell%"'`: "false",
	`WmiQuery WqlQuery='select * from Win32_Fan'`:                                   "class Win32_Fan was not collected",
	`WmiQuery Namespace=root\none WqlQuery='select * from Win32_Fan'`:               "false",
	`WmiQuery Namespace=root\dell WqlQuery='select * from Win32_Fan'`:               `namespace root\dell was not collected`,
	`WmiQuery WqlQuery='select something'`:                                          "expected FROM",
	"InstalledOnce Update=u1":                                                       "true",
	"InstalledOnce Update=u2":                                                       "false",
	"InstalledOnce":                                                                 "has no Update",
	"GenericQuery Namespace=a Type=b Parameter=c":                                   "no facts answer GenericQuery",
	"WindowsDriverInstalled":                                                        "no facts answer",
	"WindowsDriverSuperseded":                                                       "no facts answer",
	"WindowsDriverInstallable":                                                      "no facts answer",
	"Oracle Of=Delphi":                                                              `operator "Oracle" is not known`,

	"MsiProductInstalled ProductCode=" + guidA + "1}":                                         "true",
	"MsiProductInstalled ProductCode=" + strings.ToLower(guidA) + "1}":                        "true",
	"MsiProductInstalled ProductCode=" + guidA + "9}":                                         "false",
	"MsiProductInstalled ProductCode=" + guidA + "1} VersionMin=1.6.6":                        "true",
	"MsiProductInstalled ProductCode=" + guidA + "1} VersionMin=1.6.6.5":                      "false",
	"MsiProductInstalled ProductCode=" + guidA + "1} VersionMin=1.6.6 ExcludeVersionMin=true": "false",
	"MsiProductInstalled ProductCode=" + guidA + "1} VersionMax=1.6.6":                        "true",
	"MsiProductInstalled ProductCode=" + guidA + "1} VersionMax=1.6.6 ExcludeVersionMax=true": "false",
	"MsiProductInstalled ProductCode=" + guidA + "1} VersionMin=1 VersionMax=2 Language=1033": "true",
	"MsiProductInstalled ProductCode=" + guidA + "1} ExcludeVersionMax=true":                  "true",
	"MsiProductInstalled ProductCode=" + guidA + "1} Language=1031":                           "false",
	"MsiProductInstalled ProductCode=" + guidA + "1} Language=de":                             `Language="de"`,
	"MsiProductInstalled ProductCode=" + guidA + "1} VersionMin=x":                            `VersionMin="x"`,
	"MsiProductInstalled ProductCode=" + guidA + "4}":                                         "true",
	"MsiProductInstalled ProductCode=" + guidA + "4} VersionMin=1":                            `version "unreleased"`,
	"MsiProductInstalled": "has no ProductCode",
	"MsiPatchInstalledForProduct PatchCode=" + guidD + " ProductCode=" + guidA + "1}":              "true",
	"MsiPatchInstalledForProduct PatchCode=" + guidB + " ProductCode=" + guidA + "1}":              "false",
	"MsiPatchInstalledForProduct PatchCode=" + guidD + " ProductCode=" + guidA + "1} VersionMin=2": "false",
	"MsiPatchInstalledForProduct PatchCode=" + guidD + " ProductCode=" + guidA + "3}":              "it was not collected",
	"MsiPatchInstalledForProduct PatchCode=" + guidD + " ProductCode=" + guidA + "9}":              "false",

	"Hotfix KB=4480116":                                         "true",
	"Hotfix KB=4487044":                                         "false",
	"Hotfix":                                                    "has no KB",
	"Architecture Is=x64":                                       "true",
	"Architecture Is=x86":                                       "false",
	"ProductType Is=workstation":                                "true",
	"ProductType Is=server":                                     "false",
	"ProductType Is=domaincontroller":                           "false",
	"ProductType Is=tablet":                                     `Is="tablet"`,
	"Language Is=en":                                            "true",
	"Language Is=en-US":                                         "true",
	"Language Is=fr":                                            "false",
	"InstallationType Is=client":                                "true",
	"InstallationType Is=servercore":                            "false",
	"CannotTell Because='the vendor does not say'":              "the vendor does not say",
	"WindowsBuild Comparison=EqualTo Build=17763":               "true",
	"WindowsBuild Comparison=GreaterThan Build=17134":           "true",
	"WindowsBuild Comparison=LessThan Build=17763 Revision=316": "false",
	"WindowsBuild Comparison=LessThan Build=17763 Revision=317": "true",
	"WindowsBuild Comparison=GreaterThanOrEqualTo Build=17763 Revision=316":   "true",
	"WindowsBuild Comparison=GreaterThanOrEqualTo Build=17134 Revision=99999": "true",
	"WindowsBuild Comparison=GreaterThanOrEqualTo Build=17763 Revision=r":     `Revision="r"`,
	"WindowsBuild Comparison=GreaterThanOrEqualTo Build=b":                    `Build="b"`,
	"WindowsBuild Comparison=Above Build=17134":                               `"Above" is not known`,
}

func TestLeaves(t *testing.T) {
	f := decodeHost(t, hostJSON).Facts()
	for line, want := range leaves {
		expect(t, leaf(t, line), f, nil, want)
	}
}

// Without any facts every leaf of the table cannot be told, and says why; only what asks for no fact is told.
func TestLeavesWithoutFacts(t *testing.T) {
	constant := []string{"True", "False"}
	for line := range leaves {
		r := leaf(t, line)
		verdict := rule.Evaluate(r, &rule.Facts{}, nil)
		if told := verdict.Answer != rule.Unknown; told != slices.Contains(constant, r.Op) || !told && verdict.Because == "" {
			t.Errorf("%s: got %v", line, verdict)
		}
	}
	if verdict := rule.Evaluate(nil, nil, nil); verdict.Answer != rule.Unknown || verdict.Because != "there is no rule" {
		t.Error(verdict)
	}
	if x := rule.Explain(nil, nil, nil); x.Answer != rule.Unknown || !strings.Contains(x.String(), "there is no rule") {
		t.Error(x)
	}
}

// Every operator is in one of the tables of this file.
func TestEveryOperatorHasCases(t *testing.T) {
	tested := map[string]bool{}
	for line := range leaves {
		tested[leaf(t, line).Op] = true
	}
	for _, c := range composites {
		var walk func(*rule.Rule)
		walk = func(r *rule.Rule) {
			if r == nil {
				return
			}
			tested[r.Op] = true
			for _, child := range r.Rules {
				walk(child)
			}
		}
		walk(c.rule)
	}
	for _, op := range rule.Operators() {
		if !tested[op] {
			t.Errorf("no case for %s", op)
		}
	}
}

// decodeRule is for tables: their texts are right.
func decodeRule(text string) *rule.Rule {
	r, err := rule.Decode([]byte(text))
	if err != nil {
		panic(err)
	}
	return r
}

func loop(subkey, trueIf, inner string) *rule.Rule {
	text, _ := json.Marshal(subkey)
	return decodeRule(`{"op":"RegKeyLoop","with":{"Key":"HKEY_LOCAL_MACHINE","Subkey":` + string(text) + `,"TrueIf":"` + trueIf + `"},"rules":[` + inner + `]}`)
}

const (
	vIs        = `{"op":"RegDword","with":{"Key":"HKEY_LOOP_TARGET","Subkey":"\\","Value":"V","Comparison":"EqualTo","Data":"`
	nameIsA    = `{"op":"RegSz","with":{"Key":"HKEY_LOOP_TARGET","Subkey":"\\","Value":"Name","Comparison":"EqualTo","Data":"a"}}`
	deepExists = `{"op":"RegKeyExists","with":{"Key":"HKEY_LOOP_TARGET","Subkey":"Deep"}}`
	dotExists  = `{"op":"RegKeyExists","with":{"Key":"HKEY_LOOP_TARGET","Subkey":"."}}`
)

func parts(op string, with map[string]string, contents ...string) *rule.Rule {
	r := &rule.Rule{Op: op, With: with}
	for i := 0; i+1 < len(contents); i += 2 {
		r.Rules = append(r.Rules, rule.Test(contents[i], rule.Text, contents[i+1]))
	}
	return r
}

func application(op string, metadata ...string) *rule.Rule {
	return &rule.Rule{Op: op, Rules: []*rule.Rule{parts("MsiApplicationMetadata", nil, metadata...)}}
}

// patch makes a rule about a patch for one product whose version is validated in a way.
func patch(op, guid, product, version, comparison, filter string) *rule.Rule {
	target := parts("TargetProduct", nil, "TargetProductCode", product)
	if version != "" {
		target.Rules = append(target.Rules, rule.Test("TargetVersion", rule.Text, version, "Validate", "true", "ComparisonType", comparison, "ComparisonFilter", filter))
	}
	msi := &rule.Rule{Op: "MsiPatch", With: map[string]string{"PatchGUID": guid}, Rules: []*rule.Rule{target, rule.Test("TargetProductCode", rule.Text, product)}}
	return &rule.Rule{Op: op, Rules: []*rule.Rule{{Op: "MsiPatchMetadata", Rules: []*rule.Rule{msi}}}}
}

// withTarget adds an element to the TargetProduct of a rule made by patch.
func withTarget(r *rule.Rule, element *rule.Rule) *rule.Rule {
	target := r.Rules[0].Rules[0].Rules[0]
	target.Rules = append(target.Rules, element)
	return r
}

var (
	unknownLeaf = rule.Test("Oracle")
	trueLeaf    = rule.Test("True")
	falseLeaf   = rule.Test("False")
	allOfThem   = map[string]string{"AllFeaturesRequired": "true", "AllProductsRequired": "true", "AllComponentsRequired": "true"}
)

const feature, component = "MsiFeatureInstalledForProduct", "MsiComponentInstalledForProduct"

var composites = []struct {
	rule *rule.Rule
	want string
}{
	{rule.And(trueLeaf, trueLeaf), "true"},
	{rule.And(trueLeaf, falseLeaf), "false"},
	{rule.And(unknownLeaf, falseLeaf), "false"},
	{rule.And(trueLeaf, unknownLeaf), `"Oracle"`},
	{rule.And(), "And has no rule in it"},
	{rule.Or(falseLeaf, falseLeaf), "false"},
	{rule.Or(unknownLeaf, trueLeaf), "true"},
	{rule.Or(falseLeaf, unknownLeaf), `"Oracle"`},
	{rule.Or(), "Or has no rule in it"},
	{rule.Not(trueLeaf), "false"},
	{rule.Not(falseLeaf), "true"},
	{rule.Not(unknownLeaf), `"Oracle"`},
	{&rule.Rule{Op: "Not", Rules: []*rule.Rule{trueLeaf, trueLeaf}}, "Not has more than one rule in it"},
	{&rule.Rule{Op: "True", Rules: []*rule.Rule{trueLeaf}}, "True has rules in it"},
	{rule.And(nil), "there is no rule"},
	{&rule.Rule{Op: rule.Prefer, Rules: []*rule.Rule{unknownLeaf, falseLeaf, trueLeaf}}, "false"},
	{&rule.Rule{Op: rule.Prefer, Rules: []*rule.Rule{trueLeaf, falseLeaf}}, "true"},
	{&rule.Rule{Op: rule.Prefer, Rules: []*rule.Rule{unknownLeaf, rule.Test("Delphi")}}, `"Oracle" is not known to this version; operator "Delphi"`},
	{&rule.Rule{Op: rule.Prefer}, "has no rule in it"},

	{loop(`SOFTWARE\Loop`, "Any", vIs+`2"}}`), "true"},
	{loop(`SOFTWARE\Loop`, "Any", vIs+`9"}}`), "false"},
	{loop(`SOFTWARE\Loop`, "All", nameIsA), "true"},
	{loop(`SOFTWARE\Loop`, "All", vIs+`2"}}`), "false"},
	{loop(`SOFTWARE\Loop`, "None", vIs+`9"}}`), "true"},
	{loop(`SOFTWARE\Loop`, "None", vIs+`1"}}`), "false"},
	{loop(`SOFTWARE\Loop`, "Any", deepExists), "true"},
	{loop(`SOFTWARE\Loop`, "Any", dotExists), "false"},
	{loop(`SOFTWARE\Loop`, "Every", nameIsA), `TrueIf="Every"`},
	{loop(`SOFTWARE\Nothing`, "Any", nameIsA), "false"},
	{loop(`SOFTWARE\Nothing`, "None", nameIsA), "true"},
	{loop(`SOFTWARE\Nothing`, "All", nameIsA), "over no subkeys"},
	{loop(`SOFTWARE\Example\Empty`, "All", nameIsA), "over no subkeys"},
	{loop(`SOFTWARE\Example\Secret`, "Any", nameIsA), "access denied"},
	{loop(`SOFTWARE\Mixed`, "Any", vIs+`1"}}`), "true"},
	{loop(`SOFTWARE\Mixed`, "Any", vIs+`2"}}`), "access denied"},
	{loop(`SOFTWARE\Mixed`, "All", vIs+`2"}}`), "false"},
	{loop(`SOFTWARE\Mixed`, "None", vIs+`1"}}`), "false"},
	{loop(`SOFTWARE\Mixed`, "None", vIs+`2"}}`), "access denied"},
	// A loop in a loop goes on from the current subkey; behind it the outer one is current again.
	{loop(`SOFTWARE\Loop`, "Any", `{"op":"And","rules":[{"op":"RegKeyLoop","with":{"Key":"HKEY_LOOP_TARGET","Subkey":"\\","TrueIf":"Any"},"rules":[`+vIs+`3"}}]},`+vIs+`2"}}]}`), "true"},
	{rule.And(loop(`SOFTWARE\Loop`, "Any", nameIsA), decodeRule(nameIsA)), "outside of RegKeyLoop"},

	{parts(feature, nil, "Feature", "word", "Product", guidA+"1}"), "true"},
	{parts(feature, nil, "Feature", "Outlook", "Product", guidA+"1}"), "false"},
	{parts(feature, nil, "Feature", "Excel", "Product", guidA+"2}", "Product", guidA+"1}"), "true"},
	{parts(feature, allOfThem, "Feature", "Word", "Product", guidA+"2}", "Product", guidA+"1}"), "true"},
	{parts(feature, allOfThem, "Feature", "Excel", "Feature", "Word", "Product", guidA+"2}", "Product", guidA+"1}"), "false"},
	{parts(feature, nil, "Feature", "Word", "Product", guidA+"3}"), "it was not collected"},
	{parts(feature, nil, "Feature", "Word", "Product", guidA+"3}", "Product", guidA+"1}"), "true"},
	{parts(feature, nil, "Feature", "Word"), "names no Product"},
	{parts(component, nil, "Component", guidC, "Product", guidA+"1}"), "true"},
	{parts(component, allOfThem, "Component", guidC, "Product", guidA+"1}", "Product", guidA+"2}"), "false"},
	{parts(component, nil, "Component", guidC, "Product", guidA+"3}"), "component " + guidC},
	{parts(component, nil, "Product", guidA+"3}"), "no Component"},

	{application("MsiApplicationInstalled", "ProductCode", guidA+"1}"), "true"},
	{application("MsiApplicationInstalled", "ProductCode", guidA+"9}"), "false"},
	{application("MsiApplicationInstalled"), "with a ProductCode"},
	{application("MsiApplicationInstallable", "ProductCode", guidA+"1}"), "false"},
	{application("MsiApplicationInstallable", "ProductCode", guidA+"9}"), "true"},
	{rule.Test("MsiApplicationInstallable"), "with a ProductCode"},
	{application("MsiApplicationSuperseded", "ProductCode", guidA+"9}"), "false"},
	{application("MsiApplicationSuperseded", "ProductCode", guidA+"9}", "UpgradeCode", guidB, "ProductVersion", "1.6.5"), "true"},
	{application("MsiApplicationSuperseded", "ProductCode", guidA+"9}", "UpgradeCode", guidB, "ProductVersion", "1.6.6"), "false"},
	{application("MsiApplicationSuperseded", "ProductCode", guidA+"1}", "UpgradeCode", guidB, "ProductVersion", "1.6.5"), "false"},
	{application("MsiApplicationSuperseded", "ProductCode", guidA+"9}", "UpgradeCode", guidB, "ProductVersion", "x"), `version "x"`},
	{application("MsiApplicationSuperseded", "ProductCode", guidA+"9}", "UpgradeCode", guidB), "false"},
	{application("MsiApplicationSuperseded", "ProductCode", guidA+"9}", "ProductVersion", "1"), "false"},
	{application("MsiApplicationSuperseded"), "with a ProductCode"},

	{patch("MsiPatchInstalled", guidD, guidA+"1}", "1.6", "EqualTo", "MajorMinor"), "true"},
	{patch("MsiPatchInstalled", guidD, guidA+"2}", "2.0", "EqualTo", "MajorMinor"), "false"},
	{patch("MsiPatchInstalled", guidD, guidA+"9}", "2.0", "EqualTo", "MajorMinor"), "false"},
	{patch("MsiPatchInstalled", guidD, guidA+"3}", "1.0", "EqualTo", "MajorMinor"), "it was not collected"},
	{rule.Test("MsiPatchInstalled"), "no MsiPatch"},
	{patch("MsiPatchInstallable", guidD, guidA+"1}", "1.6", "EqualTo", "MajorMinor"), "false"},
	{patch("MsiPatchInstallable", guidD, guidA+"2}", "2.0", "EqualTo", "MajorMinor"), "true"},
	{patch("MsiPatchInstallable", guidD, guidA+"2}", "2.0.9", "EqualTo", "MajorMinor"), "true"},
	{patch("MsiPatchInstallable", guidD, guidA+"2}", "2.0.9", "EqualTo", "MajorMinorUpdate"), "false"},
	{patch("MsiPatchInstallable", guidD, guidA+"2}", "3.0", "LessThan", "Major"), "true"},
	{patch("MsiPatchInstallable", guidD, guidA+"2}", "3.0", "None", "Major"), "true"},
	{patch("MsiPatchInstallable", guidD, guidA+"2}", "", "", ""), "true"},
	{patch("MsiPatchInstallable", guidD, guidA+"2}", "3.0", "Like", "Major"), `"Like" is not known`},
	{patch("MsiPatchInstallable", guidD, guidA+"2}", "x", "EqualTo", "Major"), `version "x"`},
	{patch("MsiPatchInstallable", guidD, guidA+"3}", "1.0", "EqualTo", "Major"), "it was not collected"},
	{withTarget(patch("MsiPatchInstallable", guidB, guidA+"1}", "", "", ""), rule.Test("TargetLanguage", rule.Text, "1031", "Validate", "true")), "false"},
	{withTarget(patch("MsiPatchInstallable", guidB, guidA+"1}", "", "", ""), rule.Test("TargetLanguage", rule.Text, "1031", "Validate", "false")), "true"},
	{withTarget(patch("MsiPatchInstallable", guidB, guidA+"1}", "", "", ""), rule.Test("UpgradeCode", rule.Text, guidB, "Validate", "true")), "true"},
	{withTarget(patch("MsiPatchInstallable", guidB, guidA+"2}", "", "", ""), rule.Test("UpgradeCode", rule.Text, guidB, "Validate", "true")), "false"},
	{patch("MsiPatchSuperseded", guidD, guidA+"2}", "1.0", "EqualTo", "Major"), "true"},
	{patch("MsiPatchSuperseded", guidD, guidA+"2}", "2.0", "EqualTo", "Major"), "false"},
	{patch("MsiPatchSuperseded", guidD, guidA+"9}", "2.0", "EqualTo", "Major"), "false"},
	{patch("MsiPatchSuperseded", guidD, guidA+"3}", "0.9", "EqualTo", "Major"), "it was not collected"},
}

func TestComposites(t *testing.T) {
	f := decodeHost(t, hostJSON).Facts()
	for _, c := range composites {
		expect(t, c.rule, f, nil, c.want)
	}
}

// Other computers than the host of the tables.
func TestOtherHosts(t *testing.T) {
	server := func(change func(*memory.Host)) *rule.Facts {
		h := decodeHost(t, hostJSON)
		h.System.ProductType, h.System.InstallationType, h.System.MUI = 3, "server", true
		change(h)
		return h.Facts()
	}
	same := func(*memory.Host) {}
	cases := []struct {
		rule  string
		facts *rule.Facts
		want  string
	}{
		{"ClusteredOS", server(same), "true"},
		{"ClusteredOS", server(func(h *memory.Host) { h.Cluster = nil }), "whether the computer is in a cluster was not read"},
		{"ClusteredOS", server(func(h *memory.Host) { h.Cluster.Member = false }), "false"},
		{`ClusterResourceOwner Key=L Subkey=SOFTWARE\Example Value=Resource Prefix='my ' Suffix=' 1'`, server(same), "true"},
		{`ClusterResourceOwner Key=L Subkey=SOFTWARE\Example Value=Resource`, server(same), "false"},
		{`ClusterResourceOwner Key=L Subkey=SOFTWARE\Example Value=Nothing`, server(same), "false"},
		{`ClusterResourceOwner Key=L Subkey=SOFTWARE\Example\Secret Value=Nothing`, server(same), "access denied"},
		{"WindowsLanguage Language=de", server(same), "false"},
		{"MuiInstalled", server(same), "true"},
		{"MuiLanguageInstalled Language=en", server(same), "true"},
		{"MuiLanguageInstalled Language=fr", server(same), "false"},
		{"MuiLanguageInstalled Language=fr", server(func(h *memory.Host) { h.System.Languages = nil }), "languages of the computer are not known"},
		{"Language Is=fr", server(func(h *memory.Host) { h.System.Languages = nil }), "languages of the computer are not known"},
		{"ProductType Is=server", server(same), "true"},
		{"ProductType Is=server", server(func(h *memory.Host) { h.System.ProductType = 2 }), "true"},
		{"ProductType Is=domaincontroller", server(func(h *memory.Host) { h.System.ProductType = 2 }), "true"},
		{"ProductType Is=server", server(func(h *memory.Host) { h.System.ProductType = 0 }), "workstation or a server"},
		{"WindowsVersion ProductType=3", server(func(h *memory.Host) { h.System.ProductType = 0 }), "workstation or a server"},
		{"WindowsVersion MajorVersion=6 ProductType=3", server(func(h *memory.Host) { h.System.ProductType = 0 }), "false"},
		{"WindowsVersion MajorVersion=6", server(func(h *memory.Host) { h.System.Major = 0 }), "the Windows version is not known"},
		{"WindowsBuild Comparison=LessThan Build=1", server(func(h *memory.Host) { h.System.Build = 0 }), "the Windows build is not known"},
		{"WindowsBuild Comparison=LessThan Build=17763 Revision=1", server(func(h *memory.Host) { h.System.Revision = -1 }), "revision of Windows build 17763 is not known"},
		{"WindowsBuild Comparison=LessThan Build=17763 Revision=1", server(func(h *memory.Host) { h.System.Revision = 0 }), "true"},
		{"WindowsBuild Comparison=LessThan Build=17764 Revision=1", server(func(h *memory.Host) { h.System.Revision = -1 }), "true"},
		{"InstallationType Is=server", server(func(h *memory.Host) { h.System.InstallationType = "" }), "installation type is not known"},
		{"Architecture Is=x64", server(func(h *memory.Host) { h.System.Architecture = "" }), "architecture is not known"},
		{"Processor Architecture=9", server(func(h *memory.Host) { h.System.Architecture = "" }), "architecture is not known"},
		{"NumberOfProcessors Comparison=EqualTo Number=0", server(func(h *memory.Host) { h.System.Processors = 0 }), "number of processors is not known"},
		{"WindowsVersion MajorVersion=10", server(func(h *memory.Host) { h.System.Platform = "debian" }), "false"},
		{"WindowsBuild Comparison=EqualTo Build=17763", server(func(h *memory.Host) { h.System.Platform = "debian" }), "false"},
		{"InstallationType Is=server", server(func(h *memory.Host) { h.System.Platform = "debian" }), "false"},
		{"WindowsVersion MajorVersion=10", server(func(h *memory.Host) { h.System.Platform = "" }), "operating system is not known"},
		{"Hotfix KB=1234567", server(func(h *memory.Host) { h.Hotfixes.Complete = false }), "the list is not complete"},
		{"Hotfix KB=4480116", server(func(h *memory.Host) { h.Hotfixes.Complete = false }), "true"},
		{"Hotfix KB=4480116", server(func(h *memory.Host) { h.Hotfixes = nil }), "installed hotfixes are not known"},
		{`RegKeyExists Key=L Subkey=SOFTWARE\Example RegType32=true`, server(func(h *memory.Host) { h.System.Architecture = "x86" }), "true"},
	}
	for _, c := range cases {
		expect(t, leaf(t, c.rule), c.facts, nil, c.want)
	}
}

type knowledge map[string]error

var errUnfamiliar = errors.Join(rule.ErrUnknown)

func (k knowledge) Satisfied(kb, product string, installed *rule.Hotfixes) (string, bool, error) {
	err, known := k[kb+" "+product]
	return "9999999", known && err == nil, err
}

func TestHotfixAsksKnowledge(t *testing.T) {
	f := &rule.Facts{Hotfixes: &rule.Hotfixes{KBs: []string{"1111111"}, Complete: true}}
	k := knowledge{"2222222 11568": nil, "3333333 11568": errUnfamiliar}
	for line, want := range map[string]string{
		"Hotfix KB=2222222 Product=11568": "true",
		"Hotfix KB=2222222 Product=11569": "false",
		"Hotfix KB=1111111 Product=11568": "false",
		"Hotfix KB=3333333 Product=11568": "KB3333333: cannot tell",
	} {
		expect(t, leaf(t, line), f, k, want)
	}
}
