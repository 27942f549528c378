package facts

import (
	"context"
	"fmt"
	"runtime"
	"strings"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"thatch/catalog/rule"
)

const currentVersion = `SOFTWARE\Microsoft\Windows NT\CurrentVersion`

type windowsSource struct{}

// Local is the computer that this program runs on.
func Local() Source { return windowsSource{} }

// Read implements Source.
func (windowsSource) Read(ctx context.Context) (*rule.Facts, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f := &rule.Facts{
		System: readSystem(), Registry: winRegistry{}, Files: winFiles{}, Installer: winInstaller{},
		WMI: winWMI{}, Metrics: winMetrics{}, Cluster: winCluster{}, Hotfixes: readHotfixes(winRegistry{}, manifests{}),
	}
	return f, nil
}

// readSystem asks the kernel itself: GetVersionEx tells programs what their manifest wants to hear.
func readSystem() *rule.System {
	v := windows.RtlGetVersion()
	s := &rule.System{
		Platform: "windows", Major: int(v.MajorVersion), Minor: int(v.MinorVersion), Build: int(v.BuildNumber), Revision: -1,
		ServicePack: rule.ServicePack{
			ServicePackMajor: int(v.ServicePackMajor), ServicePackMinor: int(v.ServicePackMinor), SuiteMask: int(v.SuiteMask),
		},
		ProductType: int(v.ProductType), Architecture: nativeArchitecture(), Processors: runtime.NumCPU(),
	}
	reg := winRegistry{}
	s.Name = reg.text(currentVersion, "ProductName")
	s.Edition = reg.text(currentVersion, "EditionID")
	s.InstallationType = strings.ToLower(strings.ReplaceAll(reg.text(currentVersion, "InstallationType"), " ", ""))
	if s.InstallationType == "" && s.ProductType == 1 {
		s.InstallationType = "client"
	}
	if value, exists, err := reg.Value(rule.Native, currentVersion, "UBR"); err == nil && exists {
		if revision, ok := value.Data.(uint32); ok {
			s.Revision = int(revision)
		}
	}
	s.Languages, s.MUI = languages(reg)
	s.Product = product(s)
	return s
}

const (
	machineI386  = 0x014c
	machineARM   = 0x01c4
	machineIA64  = 0x0200
	machineAMD64 = 0x8664
	machineARM64 = 0xaa64
)

func nativeArchitecture() string {
	var process, native uint16
	if err := windows.IsWow64Process2(windows.CurrentProcess(), &process, &native); err == nil {
		switch native {
		case machineI386:
			return "x86"
		case machineAMD64:
			return "x64"
		case machineARM:
			return "arm"
		case machineARM64:
			return "arm64"
		case machineIA64:
			return "ia64"
		}
	}
	// Windows before 10 has no IsWow64Process2; there a 32-bit program sees a 64-bit system by this flag.
	var wow bool
	if err := windows.IsWow64Process(windows.CurrentProcess(), &wow); err == nil && wow {
		return "x64"
	}
	return architecture(runtime.GOARCH)
}

// languages are the user interface's, the system's own first.
func languages(reg winRegistry) (tags []string, several bool) {
	add := func(tag string) {
		tag = strings.ToLower(tag)
		for _, have := range tags {
			if have == tag {
				return
			}
		}
		if tag != "" {
			tags = append(tags, tag)
		}
	}
	const muiLanguageName = 8
	if preferred, err := windows.GetSystemPreferredUILanguages(muiLanguageName); err == nil {
		for _, tag := range preferred {
			add(tag)
		}
	}
	installed, _, err := reg.Subkeys(rule.Native, `SYSTEM\CurrentControlSet\Control\MUI\UILanguages`)
	if err == nil {
		for _, tag := range installed {
			add(tag)
		}
	}
	return tags, len(tags) > 1
}

// Machine implements Source.
func (windowsSource) Machine(ctx context.Context) (Machine, error) {
	if err := ctx.Err(); err != nil {
		return Machine{}, err
	}
	reg := winRegistry{}
	m := Machine{
		ID: strings.ToLower(reg.text(`SOFTWARE\Microsoft\Cryptography`, "MachineGuid")), Addresses: addresses(), Boot: bootID(),
	}
	var err error
	if m.Name, err = windows.ComputerName(); err != nil {
		return Machine{}, fmt.Errorf("name of this computer: %w", err)
	}
	// The NetBIOS name is cut at 15 characters and in capitals; the whole one is nicer where it is the same.
	if whole, err := computerName(windows.ComputerNamePhysicalDnsHostname); err == nil && len(whole) >= len(m.Name) &&
		strings.EqualFold(whole[:len(m.Name)], m.Name) {
		m.Name = whole
	}
	m.Domain, _ = computerName(windows.ComputerNamePhysicalDnsDomain)
	if table, err := smbiosTable(); err == nil {
		if found, ok := parseSMBIOS(table); ok {
			m.Manufacturer, m.Model, m.Serial, m.Hardware = found.Manufacturer, found.Model, found.Serial, found.UUID
		}
	}
	if m.Hardware == "" {
		m.Hardware = m.Serial
	}
	return m, nil
}

func computerName(format uint32) (string, error) {
	size := uint32(256)
	buffer := make([]uint16, size)
	if err := windows.GetComputerNameEx(format, &buffer[0], &size); err != nil {
		return "", fmt.Errorf("name of this computer: %w", err)
	}
	return windows.UTF16ToString(buffer[:size]), nil
}

var (
	kernel32                   = windows.NewLazySystemDLL("kernel32.dll")
	procGetSystemFirmwareTable = kernel32.NewProc("GetSystemFirmwareTable")
	advapi32                   = windows.NewLazySystemDLL("advapi32.dll")
	procRegCreateKeyEx         = advapi32.NewProc("RegCreateKeyExW")
)

// smbiosTable asks for the raw SMBIOS (provider "RSMB"). The structures follow a head of eight bytes: calling method,
// versions, and the length.
func smbiosTable() ([]byte, error) {
	const provider = 'R'<<24 | 'S'<<16 | 'M'<<8 | 'B'
	size, _, err := procGetSystemFirmwareTable.Call(provider, 0, 0, 0)
	if size < 8 || size > 1<<20 {
		return nil, fmt.Errorf("firmware table: %w", err)
	}
	buffer := make([]byte, size)
	got, _, err := procGetSystemFirmwareTable.Call(provider, 0, uintptr(ptr(buffer)), size)
	if got < 8 || got > size {
		return nil, fmt.Errorf("firmware table: %w", err)
	}
	return buffer[8:got], nil
}

// bootKey is volatile: it is gone after every restart of the operating system, and with it the text in it. Clocks and
// counters of ticks can be set; this cannot.
const bootKey = `SOFTWARE\Thatch\Boot`

func bootID() string {
	const volatile = 1
	path, err := windows.UTF16PtrFromString(bootKey)
	if err != nil {
		return ""
	}
	var handle windows.Handle
	var disposition uint32
	status, _, _ := procRegCreateKeyEx.Call(uintptr(windows.HKEY_LOCAL_MACHINE), uintptr(unsafePtr(path)), 0, 0, volatile,
		registry.ALL_ACCESS|registry.WOW64_64KEY, 0, uintptr(unsafePtr(&handle)), uintptr(unsafePtr(&disposition)))
	if status != 0 {
		return ""
	}
	key := registry.Key(handle)
	defer key.Close()
	if id, _, err := key.GetStringValue("ID"); err == nil && id != "" {
		return id
	}
	guid, err := windows.GenerateGUID()
	if err != nil {
		return ""
	}
	if err := key.SetStringValue("ID", guid.String()); err != nil {
		return ""
	}
	return guid.String()
}
