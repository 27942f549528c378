// Package factstest is what every facts.Source must satisfy, whatever computer it knows.
package factstest

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"

	"thatch/agent/facts"
	"thatch/catalog/rule"
)

// Conform holds a source against the contract.
func Conform(t *testing.T, source facts.Source) {
	t.Helper()
	t.Run("machine", func(t *testing.T) { machine(t, source) })
	t.Run("system", func(t *testing.T) { system(t, source) })
	t.Run("what is not there is no error", func(t *testing.T) { missing(t, source) })
	t.Run("what cannot be told says why", func(t *testing.T) { untold(t, source) })
	t.Run("ended", func(t *testing.T) { ended(t, source) })
	t.Run("at once", func(t *testing.T) { atOnce(t, source) })
}

func read(t *testing.T, source facts.Source) *rule.Facts {
	t.Helper()
	f, err := source.Read(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func machine(t *testing.T, source facts.Source) {
	first, err := source.Machine(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if first.Name == "" {
		t.Error("the computer has no name")
	}
	second, err := source.Machine(context.Background())
	if err != nil || !reflect.DeepEqual(first, second) {
		t.Errorf("asked twice, it is %+v and %+v (%v)", first, second, err)
	}
}

func system(t *testing.T, source facts.Source) {
	f := read(t, source)
	if f.System == nil || f.System.Platform == "" {
		t.Fatal("the operating system has no platform")
	}
	if again := read(t, source); !reflect.DeepEqual(f.System, again.System) || !reflect.DeepEqual(f.Hotfixes, again.Hotfixes) {
		t.Errorf("read twice, it is %+v %+v and %+v %+v", f.System, f.Hotfixes, again.System, again.Hotfixes)
	}
	for _, tag := range f.System.Languages {
		for _, r := range tag {
			if r >= 'A' && r <= 'Z' {
				t.Errorf("language %q is not in lower case", tag)
			}
		}
	}
	if f.Hotfixes != nil {
		for _, kb := range f.Hotfixes.KBs {
			for _, r := range kb {
				if r < '0' || r > '9' {
					t.Errorf("hotfix %q is not digits alone", kb)
				}
			}
		}
	}
}

const (
	noKey  = `SOFTWARE\No Such Maker\No Such Key`
	noGUID = `{00000000-1111-2222-3333-444444444444}`
)

func missing(t *testing.T, source facts.Source) {
	f := read(t, source)
	if f.Registry != nil {
		for _, view := range []rule.View{rule.Native, rule.WOW64} {
			if exists, err := f.Registry.Key(view, noKey); exists || err != nil {
				t.Errorf("key: %v, %v", exists, err)
			}
			if _, exists, err := f.Registry.Value(view, noKey, "x"); exists || err != nil {
				t.Errorf("value of a key that is not there: %v, %v", exists, err)
			}
			if _, exists, err := f.Registry.Value(view, `SOFTWARE`, "No Such Value"); exists || err != nil {
				t.Errorf("value: %v, %v", exists, err)
			}
			if names, exists, err := f.Registry.Subkeys(view, noKey); exists || err != nil || len(names) > 0 {
				t.Errorf("subkeys: %v, %v, %v", names, exists, err)
			}
		}
	}
	if f.Files != nil {
		for _, path := range []string{`C:\no such folder\file.dll`, `C:\no such file.dll`} {
			if _, exists, err := f.Files.Stat(-1, path); exists || err != nil {
				t.Errorf("file %s: %v, %v", path, exists, err)
			}
		}
		const systemFolder = 0x25
		if _, exists, err := f.Files.Stat(systemFolder, "no such file.dll"); exists || err != nil {
			t.Errorf("file in the system folder: %v, %v", exists, err)
		}
	}
	if f.Installer != nil {
		noProduct(t, f.Installer)
	}
}

func noProduct(t *testing.T, installer rule.Installer) {
	if _, installed, err := installer.Product(noGUID); installed || err != nil {
		t.Errorf("product: %v, %v", installed, err)
	}
	if installed, err := installer.Feature(noGUID, "Complete"); installed || err != nil {
		t.Errorf("feature: %v, %v", installed, err)
	}
	if installed, err := installer.Component(noGUID, noGUID); installed || err != nil {
		t.Errorf("component: %v, %v", installed, err)
	}
	if applied, err := installer.Patch(noGUID, noGUID); applied || err != nil {
		t.Errorf("patch: %v, %v", applied, err)
	}
	if products, err := installer.Related(noGUID); len(products) > 0 || err != nil {
		t.Errorf("related: %v, %v", products, err)
	}
}

// untold checks that what a source cannot answer is ErrUnknown, so that reasons read alike.
func untold(t *testing.T, source facts.Source) {
	f := read(t, source)
	if f.WMI != nil {
		if _, err := f.WMI.Query(`root\cimv2`, "select * from Win32_NoSuchClass"); err != nil && !errors.Is(err, rule.ErrUnknown) {
			t.Errorf("WMI: %v does not wrap ErrUnknown", err)
		}
	}
	verdict := rule.Evaluate(rule.Test("WmiQuery", "Namespace", `root\cimv2`, "WqlQuery", "select * from Win32_NoSuchClass"), f, nil)
	if verdict.Answer == rule.Unknown && verdict.Because == "" {
		t.Error("an answer that cannot be told has no reason")
	}
}

func ended(t *testing.T, source facts.Source) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := source.Read(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Read after the end: %v", err)
	}
	if _, err := source.Machine(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Machine after the end: %v", err)
	}
}

func atOnce(t *testing.T, source facts.Source) {
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			f, err := source.Read(context.Background())
			if err != nil {
				t.Error(err)
				return
			}
			if f.Registry != nil {
				if _, err := f.Registry.Key(rule.Native, "SOFTWARE"); err != nil {
					t.Error(err)
				}
			}
			if _, err := source.Machine(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}
