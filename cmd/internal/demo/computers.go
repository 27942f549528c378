package demo

import (
	"thatch/agent/facts"
	"thatch/agent/simulated"
	"thatch/catalog/rule"
	"thatch/catalog/rule/memory"
)

// windows is one of the systems that the sample documents know.
type windows struct {
	name, product string
	build, kind   int // kind: 1 workstation, 3 server
}

var (
	eleven = windows{"Microsoft Windows 11 Enterprise", "Windows 11 Version 23H2 for x64-based Systems", 22631, 1}
	ten    = windows{"Microsoft Windows 10 Pro", "Windows 10 Version 22H2 for x64-based Systems", 19045, 1}
	server = windows{"Microsoft Windows Server 2022 Standard", "Windows Server 2022", 20348, 3}
)

// made is one simulated computer: its site, its language, its Windows with the update it is at, and what is installed.
type made struct {
	site           string
	name, language string
	system         windows
	revision       int
	apps           map[string]string
}

// dozen are the computers of the demo, each with something else to do.
var dozen = []made{
	{"Berlin", "BERLIN-01", "de", eleven, 9101, map[string]string{"Ledger": "5.2.0.0", "Sketchpad": "2.1.0.0"}}, // has everything
	{"Berlin", "BERLIN-02", "de", eleven, 9001, map[string]string{"Ledger": "5.0.0.0", "Sketchpad": "2.0.0.0"}},
	{"Potsdam", "POTSDAM-01", "de", ten, 9001, map[string]string{"Ledger": "5.1.0.0"}}, // has what 5.2 supersedes
	{"Potsdam", "POTSDAM-DC", "de", server, 8900, map[string]string{"Reader": "9.3.0.0"}},
	{"Paris", "PARIS-01", "fr", eleven, 9001, map[string]string{"Ledger": "5.0.0.0"}},
	{"Paris", "PARIS-02", "fr", ten, 9101, map[string]string{"Sketchpad": "1.9.0.0", "Toolbar": "1.0.0.0"}},
	{"Paris", "PARIS-03", "fr", ten, 8900, map[string]string{}},
	{"London", "LONDON-01", "en", eleven, 9001, map[string]string{"Ledger": "4.7.0.0", "Reader": "9.0.0.0", "Toolbar": "1.0.0.0"}},
	{"London", "LONDON-02", "en", eleven, 9101, map[string]string{"Sketchpad": "2.0.0.0"}},
	{"London", "LONDON-03", "en", ten, 9001, map[string]string{"Reader": "9.4.0.0"}},
	{"London", "LONDON-SRV", "en", server, 9001, map[string]string{"Ledger": "5.1.0.0"}},
	{"Paris", "PARIS-04", "en", eleven, 9101, map[string]string{"Ledger": "5.1.0.0"}}, // nobody at Paris manages English
}

func (m made) definition() simulated.Definition {
	installation := "client"
	if m.system.kind == 3 {
		installation = "server"
	}
	registry := memory.NewRegistry()
	for app, version := range m.apps {
		registry.SetText(rule.Native, `Software\Example\`+app, "Version", version)
		registry.SetText(rule.Native, `Software\Example\`+app, "Language", m.language)
	}
	return simulated.Definition{
		Machine: facts.Machine{Name: m.name, ID: "simulated-" + m.name},
		Facts: &memory.Host{
			Name: m.name, Registry: registry,
			System: &rule.System{
				Platform: "windows", Name: m.system.name, Product: m.system.product, Major: 10, Build: m.system.build,
				Revision: m.revision, ProductType: m.system.kind, InstallationType: installation,
				Architecture: "x64", Languages: []string{m.language}, Processors: 4,
			},
			Hotfixes: &rule.Hotfixes{Complete: true},
		},
	}
}
