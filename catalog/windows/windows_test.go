package windows_test

import (
	"testing"

	"thatch/catalog/windows"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, component, release, arch string
		core                           bool
	}{
		{"Windows 10 Version 1803 for x64-based Systems", "", "Windows 10 Version 1803", "x64", false},
		{"Windows 10 for 32-bit Systems", "", "Windows 10", "x86", false},
		{"Windows 10 Version 1809 for ARM64-based Systems", "", "Windows 10 Version 1809", "arm64", false},
		{"Windows 11 version 21H2 for x64-based Systems", "", "Windows 11 version 21H2", "x64", false},
		{"Windows 11 for ARM64-based Systems", "", "Windows 11 version 21H2", "arm64", false},
		{"Windows 11 Version 25H2 for x64-based Systems", "", "Windows 11 Version 25H2", "x64", false},
		{"Windows 7 for x64-based Systems Service Pack 1", "", "Windows 7 Service Pack 1", "x64", false},
		{"Windows 8.1 for 32-bit systems", "", "Windows 8.1", "x86", false},
		{"Windows RT 8.1", "", "Windows 8.1", "arm", false},
		{"Windows Vista Service Pack 2", "", "Windows Vista Service Pack 2", "x86", false},
		{"Windows Vista x64 Edition Service Pack 2", "", "Windows Vista Service Pack 2", "x64", false},
		{"Windows Server 2008 for Itanium-Based Systems Service Pack 2", "", "Windows Server 2008 Service Pack 2", "ia64", false},
		{"Windows Server 2008 for 32-bit Systems Service Pack 2 (Server Core installation)", "", "Windows Server 2008 Service Pack 2", "x86", true},
		{"Windows Server 2008 R2 for x64-based Systems Service Pack 1", "", "Windows Server 2008 R2 Service Pack 1", "x64", false},
		{"Windows Server 2012 R2", "", "Windows Server 2012 R2", "x64", false},
		{"Windows Server 2019  (Server Core installation)", "", "Windows Server 2019", "x64", true},
		{"Windows Server, version 1709  (Server Core Installation)", "", "Windows Server, version 1709", "x64", true},
		{"Windows Server 2022, 23H2 Edition (Server Core installation)", "", "Windows Server 2022, 23H2 Edition", "x64", true},
		{"Windows Server 2025 (Server Core installation)", "", "Windows Server 2025", "x64", true},
		{"Adobe Flash Player on Windows 10 Version 1803 for x64-based Systems", "Adobe Flash Player", "Windows 10 Version 1803", "x64", false},
		{"Internet Explorer 10 on Windows Server 2012", "Internet Explorer 10", "Windows Server 2012", "x64", false},
		{"Microsoft .NET Framework 3.5 AND 4.8 on Windows Server, version 20H2 (Server Core Installation)", "Microsoft .NET Framework 3.5 AND 4.8", "Windows Server, version 20H2", "x64", true},
		{"Microsoft Silverlight 5 when installed on Microsoft Windows (32-bit)", "", "", "", false},
		{"Microsoft Office 2016 (64-bit edition)", "", "", "", false},
		{"Windows Azure Pack Rollup 13.1", "", "", "", false},
		{"Remote Desktop client for Windows Desktop", "", "", "", false},
		{".NET 8.0 installed on Windows", "", "", "", false},
		{"Windows 12 for x64-based Systems", "", "", "", false},
		{"Some Tool on Windows 12 for x64-based Systems", "Some Tool", "", "", false},
	} {
		p := windows.Parse(c.name)
		release := ""
		if p.Release != nil {
			release = p.Release.Name
		}
		if p.Component != c.component || release != c.release || p.Architecture != c.arch || p.Core != c.core {
			t.Errorf("%q = %+v of %q", c.name, p, release)
		}
	}
}

// Every name that NameOn writes is read back as what it was made of.
func TestNamesReadBack(t *testing.T) {
	for _, build := range []int{6002, 7600, 7601, 9200, 9600, 10240, 14393, 17134, 17763, 18363, 19042, 19045, 20348, 22000, 22631, 25398, 26100, 26200} {
		for _, server := range []bool{false, true} {
			major, minor := version(build)
			r := windows.Find(major, minor, build, server)
			if r == nil {
				continue
			}
			for _, arch := range []string{windows.X86, windows.X64, windows.ARM64} {
				if server && build >= 7600 && arch != windows.X64 {
					continue
				}
				name := r.NameOn(arch, server)
				p := windows.Parse(name)
				if p.Release != r || p.Architecture != arch || p.Core != server {
					t.Errorf("build %d server %v %s: %q reads as %+v", build, server, arch, name, p)
				}
			}
		}
	}
}

func version(build int) (major, minor int) {
	switch {
	case build < 7000:
		return 6, 0
	case build < 9000:
		return 6, 1
	case build == 9200:
		return 6, 2
	case build == 9600:
		return 6, 3
	}
	return 10, 0
}

func TestFindTellsServersFromClients(t *testing.T) {
	if r := windows.Find(10, 0, 17763, true); r == nil || r.Name != "Windows Server 2019" {
		t.Errorf("server 17763 = %+v", r)
	}
	if r := windows.Find(10, 0, 17763, false); r == nil || r.Name != "Windows 10 Version 1809" {
		t.Errorf("client 17763 = %+v", r)
	}
	if r := windows.Find(6, 0, 6003, true); r == nil || r.Name != "Windows Server 2008 Service Pack 2" {
		t.Errorf("server 6003 = %+v", r)
	}
	if r := windows.Find(10, 0, 99999, false); r != nil {
		t.Errorf("build 99999 = %+v", r)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("Internet Explorer 11 on Windows Server 2012 R2 (Server Core installation)")
	f.Fuzz(func(t *testing.T, name string) {
		if p := windows.Parse(name); p.Release == nil && p.Architecture != "" {
			t.Errorf("%q: an architecture of nothing: %+v", name, p)
		}
	})
}
