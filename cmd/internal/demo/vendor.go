package demo

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // the SDP format's own digest; SHA-256 stands beside it
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"thatch/agent/simulated"
)

//go:embed sample
var sample embed.FS

// product is one update that the sample vendor publishes, in the terms of its SDP package.
type product struct {
	ID, Bulletin, Product, Version string
	Title, Description, Severity   string
	Reboot                         string // the format's words: NeverReboots, CanRequestReboot
	Created                        string
	CVEs, Supersedes               []string
	Items                          []item
}

// item is one payload of a product.
type item struct {
	ID, Language       string
	File, URL          string
	SHA1, SHA256, Hash string // base64, base64, hexadecimal
	Size               int64
	unsigned           bool
	effect             simulated.Effect
}

// vendor is the made-up "Example Software": a folder of catalogs and payloads, and a server for the payloads.
type vendor struct {
	dir       string
	publisher *publisher
	server    *http.Server
	base      string // URL of the payloads
}

// openVendor makes the vendor's folders and serves its payloads on the loopback.
func openVendor(dir string, now time.Time) (*vendor, error) {
	v := &vendor{dir: dir}
	for _, sub := range []string{"sdp", "cvrf", "payloads"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	var err error
	if v.publisher, err = newPublisher(now); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serve the sample payloads: %w", err)
	}
	v.base = "http://" + listener.Addr().String() + "/"
	v.server = &http.Server{
		Handler:           http.FileServer(http.Dir(filepath.Join(dir, "payloads"))),
		ReadHeaderTimeout: 10 * time.Second,
	}
	go func() { _ = v.server.Serve(listener) }() // it ends with close
	return v, nil
}

func (v *vendor) close() error { return v.server.Close() }

// release writes the payloads and SDP packages of the given products, and the monthly security documents.
func (v *vendor) release(ctx context.Context, products []*product) error {
	text, err := template.ParseFS(sample, "sample/product.sdp.tmpl")
	if err != nil {
		return err
	}
	for _, p := range products {
		for i := range p.Items {
			if err := v.payload(ctx, &p.Items[i]); err != nil {
				return fmt.Errorf("payload %s: %w", p.Items[i].File, err)
			}
		}
		var out bytes.Buffer
		if err := text.Execute(&out, p); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(v.dir, "sdp", p.ID+".sdp"), out.Bytes(), 0o600); err != nil {
			return err
		}
	}
	for _, name := range []string{"cvrf-2026-Sep.xml", "cvrf-2026-Oct.xml"} {
		content, err := sample.ReadFile("sample/" + name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(v.dir, "cvrf", name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// payload writes one set-up program and learns its digests.
func (v *vendor) payload(ctx context.Context, it *item) error {
	effect, err := json.Marshal(it.effect)
	if err != nil {
		return err
	}
	content := append([]byte(simulated.Marker+"\n"), effect...)
	path := filepath.Join(v.dir, "payloads", it.File)
	if err := v.publisher.writeProgram(ctx, path, content, !it.unsigned); err != nil {
		return err
	}
	written, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	one, two := sha1.Sum(written), sha256.Sum256(written) //nolint:gosec // see the import
	it.SHA1, it.SHA256 = base64.StdEncoding.EncodeToString(one[:]), base64.StdEncoding.EncodeToString(two[:])
	it.Hash, it.Size, it.URL = fmt.Sprintf("%x", two), int64(len(written)), v.base+it.File
	return nil
}

// setVersion is what a set-up program of the sample vendor does to a computer.
func setVersion(name, version string, code int) simulated.Effect {
	change := &simulated.RegistryChange{Key: `Software\Example\` + name, Name: "Version", Text: version}
	return simulated.Effect{Code: code, Changes: []simulated.Change{{Registry: change}}}
}

// created is when the sample vendor published.
const created = "2026-10-13T08:00:00Z"

// products is what the vendor has published by the day of the demo. The toolbar's set-up program lacks a signature.
func products() []*product {
	ledger := func(version, id string, supersedes ...string) *product {
		p := &product{
			ID: id, Bulletin: "ES-2026-" + strings.ReplaceAll(version[:3], ".", ""), Product: "Ledger", Version: version,
			Title: "Ledger " + version[:3] + " security update", Severity: "Critical", Reboot: "NeverReboots", Created: created,
			Description: "Closes a hole through which a prepared ledger file could run code.",
			CVEs:        []string{"CVE-2026-30001"}, Supersedes: supersedes,
		}
		for i, language := range []string{"en", "de", "fr"} {
			p.Items = append(p.Items, item{
				ID: fmt.Sprintf("%s%02d", id[:34], i+10), Language: language,
				File: fmt.Sprintf("ledger-%s-%s.exe", version[:3], language), effect: setVersion("Ledger", version, 0),
			})
		}
		return p
	}
	const old, new52 = "5e000000-0000-4000-8000-000000005100", "5e000000-0000-4000-8000-000000005200"
	return []*product{
		ledger("5.1.0.0", old),
		ledger("5.2.0.0", new52, old),
		neutral("2100", "Sketchpad", "2.1.0.0", "Important", 0),
		neutral("9400", "Reader", "9.4.0.0", "Moderate", codeRestart),
		unsigned(neutral("1100", "Toolbar", "1.1.0.0", "Low", 0)),
	}
}

// republished is the toolbar once more, signed.
func republished() []*product {
	p := neutral("1100", "Toolbar", "1.1.0.0", "Low", 0)
	p.Created = "2026-10-20T08:00:00Z"
	return []*product{p}
}

// codeRestart is what an installer returns that asks for a restart.
const codeRestart = 3010

// neutral is a product with one set-up program for all languages; code is what that returns.
func neutral(number, name, version, severity string, code int) *product {
	id := "5e000000-0000-4000-8000-00000000" + number
	reboot := "NeverReboots"
	if code == codeRestart {
		reboot = "CanRequestReboot"
	}
	return &product{
		ID: id, Bulletin: "ES-2026-0" + number[:2], Product: name, Version: version, Severity: severity, Reboot: reboot, Created: created,
		Title:       name + " " + version[:3] + " security update",
		Description: "Mends how " + name + " checks what it is given.",
		CVEs:        []string{"CVE-2026-3" + number},
		Items: []item{{
			ID: id[:34] + "10", File: strings.ToLower(name) + "-" + version[:3] + ".exe", effect: setVersion(name, version, code),
		}},
	}
}

func unsigned(p *product) *product {
	for i := range p.Items {
		p.Items[i].unsigned = true
	}
	return p
}

// windowsPackages are set-up programs for the three Windows updates of October: Microsoft's documents name no payload,
// so an administrator adds them by hand.
func (v *vendor) windowsPackages(ctx context.Context) ([]handmade, error) {
	var made []handmade
	for _, w := range []struct {
		kb, product string
		revision    int
	}{{"9200011", "90001", 9101}, {"9200012", "90002", 9101}, {"9200013", "90003", 9101}} {
		it := item{File: "windows-kb" + w.kb + ".exe", effect: simulated.Effect{Changes: []simulated.Change{{Revision: &w.revision}}}}
		if err := v.payload(ctx, &it); err != nil {
			return nil, err
		}
		made = append(made, handmade{update: "msrc/KB" + w.kb + "/" + w.product, item: it})
	}
	return made, nil
}

// handmade is a package that a person attaches to an update.
type handmade struct {
	update string
	item   item
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
