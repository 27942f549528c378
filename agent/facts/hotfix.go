package facts

import (
	"regexp"
	"slices"
	"strings"

	"thatch/catalog/rule"
)

// Packages of the component store (HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages)
// name their KB in their own name, but for those of cumulative updates, whose manifest under servicing\Packages does.
var (
	kbText     = regexp.MustCompile(`(?i)\bKB\s?(\d{6,8})\b`)
	kbPackage  = regexp.MustCompile(`(?i)(?:^|_)KB(\d{6,8})(?:[~_]|$)`)
	kbManifest = regexp.MustCompile(`(?i)<package\b[^>]*\bidentifier="KB(\d{6,8})"`)
)

// installedState is CurrentState of a package that is installed (CBS_STATE 0x70).
const installedState = 112

// packageKB reads the KB out of the name of a package, "" when it names none.
func packageKB(name string) string {
	if found := kbPackage.FindStringSubmatch(name); found != nil {
		return found[1]
	}
	return ""
}

// isCumulative says whether a package is a cumulative update, whose manifest names its KB.
func isCumulative(name string) bool {
	return strings.HasPrefix(strings.ToLower(name), "package_for_rollupfix~") ||
		strings.HasPrefix(strings.ToLower(name), "package_for_servicingstack")
}

// manifestKB reads the KB out of the beginning of a package's manifest (.mum).
func manifestKB(manifest []byte) string {
	if found := kbManifest.FindSubmatch(manifest); found != nil {
		return string(found[1])
	}
	return ""
}

// displayKB reads the KB of an entry under Uninstall: of an update, whose key or name says it in the usual ways.
func displayKB(key, name string) string {
	for _, text := range []string{name, key} {
		if found := kbText.FindStringSubmatch(strings.NewReplacer("_", " ", ".", " ").Replace(text)); found != nil {
			return found[1]
		}
	}
	return ""
}

// tidyKBs sorts and leaves out doubles and empty ones.
func tidyKBs(kbs []string) []string {
	slices.Sort(kbs)
	kbs = slices.Compact(kbs)
	return slices.DeleteFunc(kbs, func(kb string) bool { return kb == "" })
}

const (
	cbsPackages = `SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages`
	uninstall   = `SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall`
)

// heads opens the beginning of a component package's manifest.
type heads interface {
	head(name string) ([]byte, error)
}

// readHotfixes lists the KBs that are installed: component packages, and entries under Uninstall of both views. The
// list is complete where the component store could be read, and every installed cumulative update told its KB.
func readHotfixes(reg rule.Registry, manifests heads) *rule.Hotfixes {
	found := &rule.Hotfixes{KBs: []string{}}
	packages, exists, err := reg.Subkeys(rule.Native, cbsPackages)
	found.Complete = exists && err == nil
	for _, name := range packages {
		kb := packageKB(name)
		if kb == "" && !isCumulative(name) {
			continue
		}
		value, exists, err := reg.Value(rule.Native, cbsPackages+`\`+name, "CurrentState")
		if err != nil {
			found.Complete = false
		}
		if state, ok := value.Data.(uint32); !exists || !ok || state != installedState {
			continue
		}
		if kb == "" {
			if head, err := manifests.head(name); err == nil {
				kb = manifestKB(head)
			}
			found.Complete = found.Complete && kb != ""
		}
		found.KBs = append(found.KBs, kb)
	}
	for _, view := range []rule.View{rule.Native, rule.WOW64} {
		entries, _, err := reg.Subkeys(view, uninstall)
		if err != nil {
			found.Complete = false
		}
		for _, key := range entries {
			value, _, _ := reg.Value(view, uninstall+`\`+key, "DisplayName")
			name, _ := value.Data.(string)
			found.KBs = append(found.KBs, displayKB(key, name))
		}
	}
	found.KBs = tidyKBs(found.KBs)
	return found
}
