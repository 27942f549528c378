// Package ruletest makes rules as vendors write them, and a computer to hold them against, for tests that measure.
package ruletest

import (
	"fmt"
	"strings"
	"testing"

	"thatch/catalog/rule"
	"thatch/catalog/rule/memory"
)

const hpHost = `{"system":{"platform":"windows","major":10,"minor":0,"build":17763,"revision":316,"product_type":1,"architecture":"x64","languages":["en-us"]},
 "registry":{"native":{"SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion":{"values":{"ReleaseId":{"type":"REG_SZ","data":"1809"}}}},"wow64":{}},
 "files":{"list":[]},"installer":{"products":[]},
 "wmi":{"namespaces":{"root\\cimv2":{"classes":{
  "Win32_ComputerSystem":[{"Manufacturer":"HP","Model":"HP ProDesk 600 G4"}],"Win32_BaseBoard":[{"Product":"83EF"}],
  "Win32_BIOS":[{"ReleaseDate":"20190306000000.000000+000","Version":"HPQOEM - 0"}],
  "Win32_PnpEntity":[%s],"Win32_Product":[]}},"root\\dell\\sysinv":{"complete":true}}}}`

// HPComputer is a computer of HP with as many devices as such computers have.
func HPComputer(t testing.TB) *memory.Host {
	t.Helper()
	var devices []string
	for i := range 160 {
		devices = append(devices, fmt.Sprintf(`{"DeviceID":"PCI\\VEN_8086\u0026DEV_%04X\u0026SUBSYS_83EF103C\u0026REV_10\\3\u002611583659\u00260\u0026%02X"}`, 0x1500+i*37, i))
	}
	host, err := memory.Decode(fmt.Appendf(nil, hpHost, strings.Join(devices, ",")))
	if err != nil {
		t.Fatal(err)
	}
	return host
}

// LikeHP makes the two rules of an update as HP writes them.
func LikeHP(i int) (applicable, installed *rule.Rule) {
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

// LikeMSRC makes the two rules of a monthly update of Windows.
func LikeMSRC(i int) (applicable, installed *rule.Rule) {
	build := fmt.Sprint([]int{14393, 17134, 17763, 18362}[i%4])
	return rule.And(rule.Test(rule.WindowsBuild, "Comparison", "EqualTo", "Build", build), rule.Test(rule.Architecture, "Is", "x64"), rule.Test(rule.ProductType, "Is", "workstation")),
		&rule.Rule{Op: rule.Prefer, Rules: []*rule.Rule{
			rule.Test(rule.WindowsBuild, "Comparison", "GreaterThanOrEqualTo", "Build", build, "Revision", fmt.Sprint(i%900)),
			rule.Test(rule.Hotfix, "KB", fmt.Sprint(4400000+i), "Product", "11568"),
		}}
}
