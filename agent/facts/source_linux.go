package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"thatch/catalog/rule"
)

// linux reads the files of a Linux system under a root folder.
type linux struct{ root string }

// Local is the computer that this program runs on.
func Local() Source { return linux{"/"} }

func (l linux) text(path string) string {
	raw, err := os.ReadFile(filepath.Join(l.root, path))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}

// Read implements Source. Registry, files by CSIDL and the Windows Installer do not exist here: rules that ask for them
// cannot tell.
func (l linux) Read(ctx context.Context) (*rule.Facts, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	release := parseAssignments(l.text("etc/os-release"))
	if len(release) == 0 {
		release = parseAssignments(l.text("usr/lib/os-release"))
	}
	if release["ID"] == "" {
		return nil, untold("%s names no operating system", filepath.Join(l.root, "etc/os-release"))
	}
	system := &rule.System{
		Platform: release["ID"], Name: release["PRETTY_NAME"], Product: release["PRETTY_NAME"], Revision: -1,
		Edition: release["VARIANT_ID"], Architecture: architecture(runtime.GOARCH), Processors: runtime.NumCPU(),
		Languages: l.languages(),
	}
	system.Major, system.Minor = versionNumbers(release["VERSION_ID"])
	return &rule.Facts{System: system, WMI: Missing{"this computer does not run Windows"}}, nil
}

func (l linux) languages() []string {
	for _, path := range []string{"etc/default/locale", "etc/locale.conf"} {
		if tag := localeTag(parseAssignments(l.text(path))["LANG"]); tag != "" {
			return []string{tag}
		}
	}
	return []string{"en"} // the language of C and POSIX
}

// Machine implements Source.
func (l linux) Machine(ctx context.Context) (Machine, error) {
	if err := ctx.Err(); err != nil {
		return Machine{}, err
	}
	name, err := os.Hostname()
	if err != nil {
		return Machine{}, fmt.Errorf("name of this computer: %w", err)
	}
	m := Machine{
		ID: l.text("etc/machine-id"), Addresses: addresses(), TimeZone: l.zone(),
		Manufacturer: known(l.text("sys/class/dmi/id/sys_vendor")), Model: known(l.text("sys/class/dmi/id/product_name")),
		Serial: known(l.text("sys/class/dmi/id/product_serial")), Hardware: strings.ToLower(known(l.text("sys/class/dmi/id/product_uuid"))),
		Boot: l.text("proc/sys/kernel/random/boot_id"),
	}
	m.Name, m.Domain, _ = strings.Cut(name, ".")
	if m.Hardware == "" {
		m.Hardware = m.Serial
	}
	return m, nil
}

func (l linux) zone() string {
	if zone := l.text("etc/timezone"); zone != "" {
		return zone
	}
	target, err := os.Readlink(filepath.Join(l.root, "etc/localtime"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	_, zone, _ := strings.Cut(target, "zoneinfo/")
	return zone
}
