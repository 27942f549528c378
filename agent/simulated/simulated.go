// Package simulated is a computer that a program makes up: its facts are a file, and its installers change them.
// Everything else of its agent is real. It always says that it is simulated.
//
// What an installer does stands in the payload itself: anywhere in the file that is run, the text
// "THATCH-SIMULATED-INSTALLER" followed by white space and the JSON of an Effect. So a payload may be a signed Windows
// program that carries the text in its data. A payload without the text does what the computer's own list of effects
// says for its file name, else it fails.
package simulated

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"thatch/agent/facts"
	"thatch/agent/install"
	"thatch/catalog/rule"
	"thatch/catalog/rule/memory"
)

// Marker stands before the JSON of an Effect in a payload.
const Marker = "THATCH-SIMULATED-INSTALLER"

const (
	maxPayload  = 64 << 20 // of a payload that is searched, in bytes
	codeNothing = 1603     // ERROR_INSTALL_FAILURE, of a payload that says nothing to a simulated computer
)

// Definition is the JSON of a simulated computer.
type Definition struct {
	Machine facts.Machine     `json:"machine"`
	Facts   *memory.Host      `json:"facts"`
	Effects map[string]Effect `json:"effects,omitempty"` // by file name in lower case
	Pending []Change          `json:"pending,omitempty"` // done by the next restart
	Runs    []Run             `json:"runs,omitempty"`    // what was installed, the last ones
	Starts  int               `json:"starts"`            // restarts of the operating system
}

// Run is an installer that was run.
type Run struct {
	File      string `json:"file"`
	Arguments string `json:"arguments,omitempty"`
	Code      int    `json:"code"`
}

const maxRuns = 100

// Effect is what an installer does.
type Effect struct {
	Code         int      `json:"code,omitempty"` // that it returns
	Output       string   `json:"output,omitempty"`
	Changes      []Change `json:"changes,omitempty"`
	AfterRestart []Change `json:"after_restart,omitempty"`
}

// Change is one change of the facts; exactly one member is given.
type Change struct {
	Registry      *RegistryChange `json:"registry,omitempty"`
	File          *FileChange     `json:"file,omitempty"`
	Product       *memory.Product `json:"product,omitempty"`        // installs it
	RemoveProduct string          `json:"remove_product,omitempty"` // {GUID}
	Hotfix        string          `json:"hotfix,omitempty"`         // KB, digits alone
	RemoveHotfix  string          `json:"remove_hotfix,omitempty"`
	Revision      *int            `json:"revision,omitempty"` // of the operating system's build
}

// RegistryChange sets or deletes a value under HKEY_LOCAL_MACHINE, or without a name deletes a key.
type RegistryChange struct {
	WOW64  bool   `json:"wow64,omitempty"`
	Key    string `json:"key"`
	Name   string `json:"name,omitempty"`
	Text   string `json:"text,omitempty"`   // REG_SZ
	Number *int64 `json:"number,omitempty"` // REG_DWORD
	Delete bool   `json:"delete,omitempty"`
}

// FileChange writes or deletes a file.
type FileChange struct {
	CSIDL   *int   `json:"csidl,omitempty"`
	Path    string `json:"path"`
	Version string `json:"version,omitempty"` // 1.2.3.4
	Size    int64  `json:"size,omitempty"`
	Delete  bool   `json:"delete,omitempty"`
}

// Computer is a simulated computer: a facts.Source and an install.Runner. It is safe for several goroutines.
type Computer struct {
	mu   sync.Mutex
	path string // "": kept in memory alone
	def  Definition
}

// New makes a computer that is kept in memory alone. What the definition leaves out is that of an empty Windows.
func New(def Definition) *Computer {
	c := &Computer{def: def}
	c.complete()
	return c
}

// Open reads a computer's file. Installers and restarts change the file.
func Open(path string) (*Computer, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("simulated computer: %w", err)
	}
	c := &Computer{path: path}
	if err := json.Unmarshal(raw, &c.def); err != nil {
		return nil, fmt.Errorf("simulated computer %s: %w", path, err)
	}
	c.complete()
	return c, nil
}

// Create writes a computer's file and opens it; a file that is there is opened as it is.
func Create(path string, def Definition) (*Computer, error) {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return Open(path)
	}
	c := &Computer{path: path, def: def}
	c.complete()
	return c, c.save()
}

func (c *Computer) complete() {
	if c.def.Facts == nil {
		c.def.Facts = &memory.Host{}
	}
	host := c.def.Facts
	host.Simulated = true
	if host.System == nil {
		host.System = &rule.System{Platform: "windows", Major: 10, Build: 17763, Revision: 1, ProductType: 1, Architecture: "x64", Languages: []string{"en-us"}}
	}
	if host.Registry == nil {
		host.Registry = memory.NewRegistry()
	}
	if host.Files == nil {
		host.Files = memory.NewFiles()
	}
	if host.Installer == nil {
		host.Installer = &memory.Installer{}
	}
	if host.Hotfixes == nil {
		host.Hotfixes = &rule.Hotfixes{Complete: true}
	}
	if c.def.Machine.Name == "" {
		c.def.Machine.Name = host.Name
	}
}

func (c *Computer) save() error {
	if c.path == "" {
		return nil
	}
	raw, err := json.MarshalIndent(&c.def, "", "  ")
	if err != nil {
		return fmt.Errorf("simulated computer: %w", err)
	}
	if err := os.WriteFile(c.path+".new", raw, 0o600); err != nil {
		return fmt.Errorf("simulated computer: %w", err)
	}
	if err := os.Rename(c.path+".new", c.path); err != nil {
		return fmt.Errorf("simulated computer: %w", err)
	}
	return nil
}

// Read implements facts.Source. The facts are those of the moment: later installs do not change them.
func (c *Computer) Read(ctx context.Context) (*rule.Facts, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	raw, err := json.Marshal(c.def.Facts)
	if err != nil {
		return nil, fmt.Errorf("simulated computer: %w", err)
	}
	host, err := memory.Decode(raw)
	if err != nil {
		return nil, fmt.Errorf("simulated computer: %w", err)
	}
	return host.Facts(), nil
}

// Machine implements facts.Source.
func (c *Computer) Machine(ctx context.Context) (facts.Machine, error) {
	if err := ctx.Err(); err != nil {
		return facts.Machine{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.def.Machine
	m.Boot = "simulated-" + strconv.Itoa(c.def.Starts)
	return m, nil
}

// Run implements install.Runner.
func (c *Computer) Run(ctx context.Context, job install.Job) (install.Outcome, error) {
	if err := ctx.Err(); err != nil {
		return install.Outcome{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	effect, err := c.effect(job.File)
	if err != nil {
		return install.Outcome{}, err
	}
	for _, change := range effect.Changes {
		if err := c.apply(change); err != nil {
			return install.Outcome{}, err
		}
	}
	c.def.Pending = append(c.def.Pending, effect.AfterRestart...)
	c.def.Runs = append(c.def.Runs, Run{File: filepath.Base(job.File), Arguments: job.Arguments, Code: effect.Code})
	c.def.Runs = c.def.Runs[max(0, len(c.def.Runs)-maxRuns):]
	return install.Outcome{Code: effect.Code, Output: install.Text([]byte(effect.Output))}, c.save()
}

// Runs are the installers that were run, oldest first.
func (c *Computer) Runs() []Run {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Run(nil), c.def.Runs...)
}

// Restart starts the operating system anew, which finishes installs that asked for it.
func (c *Computer) Restart() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, change := range c.def.Pending {
		if err := c.apply(change); err != nil {
			return err
		}
	}
	c.def.Pending = nil
	c.def.Starts++
	return c.save()
}

// Change changes the computer by hand.
func (c *Computer) Change(changes ...Change) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, change := range changes {
		if err := c.apply(change); err != nil {
			return err
		}
	}
	return c.save()
}

// effect finds what a payload does.
func (c *Computer) effect(path string) (Effect, error) {
	file, err := os.Open(path)
	if err != nil {
		return Effect{}, fmt.Errorf("run a simulated installer: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return Effect{}, fmt.Errorf("run a simulated installer: %w", err)
	}
	if info.Size() <= maxPayload {
		raw := make([]byte, info.Size())
		if _, err := file.ReadAt(raw, 0); err != nil {
			return Effect{}, fmt.Errorf("run a simulated installer: %w", err)
		}
		if at := bytes.Index(raw, []byte(Marker)); at >= 0 {
			var effect Effect
			if err := json.NewDecoder(bytes.NewReader(raw[at+len(Marker):])).Decode(&effect); err != nil {
				return Effect{}, fmt.Errorf("run a simulated installer: %s: the text after %s: %w", filepath.Base(path), Marker, err)
			}
			return effect, nil
		}
	}
	if effect, ok := c.def.Effects[strings.ToLower(filepath.Base(path))]; ok {
		return effect, nil
	}
	return Effect{Code: codeNothing, Output: "this payload says nothing to a simulated computer"}, nil
}

// Payload is an effect as the content of a payload.
func Payload(effect Effect) ([]byte, error) {
	raw, err := json.Marshal(effect)
	if err != nil {
		return nil, fmt.Errorf("simulated payload: %w", err)
	}
	return append([]byte(Marker+"\n"), append(raw, '\n')...), nil
}
