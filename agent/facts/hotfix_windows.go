package facts

import (
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"

	"thatch/catalog/rule"
	release "thatch/catalog/windows"
)

const maxManifest = 16 << 10 // the identifier is in the first lines

// manifests reads the manifests of component packages.
type manifests struct{}

func (manifests) head(name string) ([]byte, error) {
	folder, err := windows.GetWindowsDirectory()
	if err != nil {
		return nil, err
	}
	file, err := os.Open(filepath.Join(folder, "servicing", "Packages", filepath.Base(name)+".mum"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxManifest))
}

// product is the name that Microsoft's documents have for the system, "" when they have none.
func product(s *rule.System) string {
	release := release.Find(s.Major, s.Minor, s.Build, s.ProductType > 1)
	if release == nil || s.ProductType == 0 {
		return ""
	}
	return release.NameOn(s.Architecture, s.InstallationType == "servercore" || release.Core)
}
