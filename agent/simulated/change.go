package simulated

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"thatch/catalog/rule"
	"thatch/catalog/version"
)

var errChange = errors.New("change of a simulated computer")

func (c *Computer) apply(change Change) error {
	host := c.def.Facts
	switch {
	case change.Registry != nil:
		return c.applyRegistry(change.Registry)
	case change.File != nil:
		return c.applyFile(change.File)
	case change.Product != nil:
		host.Installer.Install(*change.Product)
	case change.RemoveProduct != "":
		host.Installer.Remove(change.RemoveProduct)
	case change.Hotfix != "":
		if !slices.Contains(host.Hotfixes.KBs, change.Hotfix) {
			host.Hotfixes.KBs = append(host.Hotfixes.KBs, change.Hotfix)
		}
	case change.RemoveHotfix != "":
		host.Hotfixes.KBs = slices.DeleteFunc(host.Hotfixes.KBs, func(kb string) bool { return kb == change.RemoveHotfix })
	case change.Revision != nil:
		host.System.Revision = *change.Revision
	default:
		return fmt.Errorf("%w: it says nothing", errChange)
	}
	return nil
}

func (c *Computer) applyRegistry(change *RegistryChange) error {
	view := rule.Native
	if change.WOW64 {
		view = rule.WOW64
	}
	reg := c.def.Facts.Registry
	switch {
	case change.Key == "":
		return fmt.Errorf("%w: a registry change without a key", errChange)
	case change.Delete && change.Name == "":
		reg.DeleteKey(view, change.Key)
	case change.Delete:
		reg.Delete(view, change.Key, change.Name)
	case change.Number != nil && (*change.Number < 0 || *change.Number > math.MaxUint32):
		return fmt.Errorf("%w: number %d of %s is no REG_DWORD", errChange, *change.Number, change.Name)
	case change.Number != nil:
		reg.SetNumber(view, change.Key, change.Name, uint32(*change.Number))
	default:
		reg.SetText(view, change.Key, change.Name, change.Text)
	}
	return nil
}

func (c *Computer) applyFile(change *FileChange) error {
	csidl := -1
	if change.CSIDL != nil {
		csidl = *change.CSIDL
	}
	if change.Path == "" {
		return fmt.Errorf("%w: a file change without a path", errChange)
	}
	if change.Delete {
		c.def.Facts.Files.Delete(csidl, change.Path)
		return nil
	}
	info := rule.FileInfo{Size: change.Size}
	if change.Version != "" {
		numbers, err := version.ParseDotted(change.Version)
		if err != nil {
			return fmt.Errorf("%w: file %s: %w", errChange, change.Path, err)
		}
		for i, number := range numbers {
			if i >= len(info.Version) && number > 0 || number > math.MaxUint16 {
				return fmt.Errorf("%w: file %s: version %s is not four numbers up to 65535", errChange, change.Path, change.Version)
			}
			if i < len(info.Version) {
				info.Version[i] = uint16(number)
			}
		}
	}
	c.def.Facts.Files.Put(csidl, change.Path, info)
	return nil
}
