package bulletins

import (
	"cmp"
	"context"
	"net/url"
	"path"
	"slices"
	"strings"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/node/bulletins/live"
	"thatch/node/bulletins/staging"
	"thatch/node/store"
)

// PackageRow is one package of a list.
type PackageRow struct {
	ID        string         `json:"id"`
	Name      string         `json:"package"`
	Update    string         `json:"update"` // document id
	For       string         `json:"update_name"`
	Bulletin  string         `json:"bulletin"`
	Of        string         `json:"bulletin_id"`
	Languages []string       `json:"languages"` // empty: neutral
	Installer string         `json:"installer"` // type: msi, msp, exe
	Files     int            `json:"files"`
	Size      int64          `json:"size"` // bytes, 0 unknown
	ByHand    bool           `json:"by_hand"`
	Matters   bool           `json:"matters"` // neutral or in a managed language
	Status    staging.Status `json:"status"`
	Text      string         `json:"text,omitempty"`
}

var packageColumns = []store.Column[*PackageRow]{
	{Name: "id", Value: func(r *PackageRow) any { return r.ID }},
	{Name: "package", Value: func(r *PackageRow) any { return r.Name }, Search: true},
	{Name: "update", Value: func(r *PackageRow) any { return r.Update }},
	{Name: "update_name", Value: func(r *PackageRow) any { return r.For }, Search: true},
	{Name: "bulletin", Value: func(r *PackageRow) any { return r.Bulletin }, Search: true},
	{Name: "languages", Value: func(r *PackageRow) any { return r.Languages }},
	{Name: "language", Value: func(r *PackageRow) any { return r.Languages }},
	{Name: "installer", Value: func(r *PackageRow) any { return r.Installer }},
	{Name: "size", Kind: store.Number, Value: func(r *PackageRow) any { return int(r.Size) }},
	{Name: "by_hand", Kind: store.Flag, Value: func(r *PackageRow) any { return r.ByHand }},
	{Name: "matters", Kind: store.Flag, Value: func(r *PackageRow) any { return r.Matters }},
	{Name: "status", Value: func(r *PackageRow) any { return string(r.Status) }},
}

// PackageColumns names what the list of packages can be filtered and sorted by.
func PackageColumns() []string { return store.ColumnNames(packageColumns) }

// Packages returns a page of the packages, by id, and how many fit the query.
func (b *Bulletins) Packages(ctx context.Context, q store.Query) (page []*PackageRow, total int, err error) {
	var rows []*PackageRow
	err = b.with(ctx, func(v *live.View, s *staging.State) error {
		for _, p := range v.Packages() {
			row := packageRow(v, packageStatus(v, s, p))
			rows = append(rows, &row)
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return store.Select(q, rows, packageColumns)
}

func packageStatus(v *live.View, s *staging.State, p *live.Package) staging.PackageStatus {
	staged := false
	if u := v.UpdateByID(p.Update); u != nil {
		_, staged = s.Staged[u.Bulletin]
	}
	return s.Package(v, p, staged)
}

func packageRow(v *live.View, ps staging.PackageStatus) PackageRow {
	p := ps.Package
	row := PackageRow{
		ID: p.ID, Name: p.Name, Update: p.Update, For: p.Update, Languages: orEmpty(p.Languages), Installer: string(p.Installer.Type),
		Files: len(p.Files), ByHand: p.ByHand, Matters: ps.Matters, Status: ps.Status, Text: ps.Text,
	}
	for _, f := range p.Files {
		row.Size += f.Size
	}
	if ps.Payload != nil {
		row.Size = 0
		for _, f := range ps.Payload.Files {
			row.Size += f.Size
		}
	}
	if u := v.UpdateByID(p.Update); u != nil {
		row.For = cmp.Or(u.Name, u.ID)
		if of := v.Bulletin(u.Bulletin); of != nil {
			row.Bulletin, row.Of = of.Name, of.ID
		}
	}
	return row
}

// PackageDetail is everything of one package.
type PackageDetail struct {
	PackageRow
	FileList  []catalog.File       `json:"file_list"`
	Run       catalog.Installer    `json:"run"`
	Uninstall *catalog.Installer   `json:"uninstall,omitempty"`
	Restart   catalog.Restart      `json:"restart,omitempty"`
	Staged    []catalog.StagedFile `json:"staged_files"` // as they were found
	Origin    string               `json:"origin"`
	Version   string               `json:"version"`
}

// ShowPackage returns the package with a document id.
func (b *Bulletins) ShowPackage(ctx context.Context, id string) (PackageDetail, error) {
	var d PackageDetail
	err := b.with(ctx, func(v *live.View, s *staging.State) error {
		p := v.Package(id)
		if p == nil {
			return store.NotFound("package", id)
		}
		ps := packageStatus(v, s, p)
		d = PackageDetail{
			PackageRow: packageRow(v, ps), FileList: orEmpty(p.Files), Run: p.Installer, Uninstall: p.Uninstall,
			Restart: p.Restart, Staged: []catalog.StagedFile{}, Origin: p.Origin, Version: p.Digest.String(),
		}
		if ps.Payload != nil {
			d.Staged = orEmpty(ps.Payload.Files)
		}
		return nil
	})
	return d, err
}

// NewPackage is a package that a person adds.
type NewPackage struct {
	Update    string               `json:"update"` // document id
	Name      string               `json:"name,omitempty"`
	Languages []string             `json:"languages,omitempty"` // empty: neutral
	Files     []catalog.File       `json:"files"`               // each with an address and a digest, or a digest that is held
	Run       string               `json:"run,omitempty"`       // name of the file that is run; empty: the first
	Type      string               `json:"type,omitempty"`      // msi, msp, exe; empty: from the file's name
	Arguments string               `json:"arguments,omitempty"`
	Product   string               `json:"product_code,omitempty"` // of an MSI
	Patch     string               `json:"patch_code,omitempty"`   // of an MSP
	Codes     []catalog.ReturnCode `json:"codes,omitempty"`        // empty: the usual ones
	Restart   catalog.Restart      `json:"restart,omitempty"`
	UserInput bool                 `json:"user_input,omitempty"`
}

// AddPackage attaches a package to an update and returns its id. Held tells which payload files are here already.
func (b *Bulletins) AddPackage(ctx context.Context, p NewPackage, held func(sha256 string) bool) (id string, err error) {
	body, err := p.body(held)
	if err != nil {
		return "", err
	}
	err = b.catalog.Read(ctx, func(v *live.View) error {
		u := v.UpdateByID(p.Update)
		switch {
		case u == nil:
			return store.NotFound("update", p.Update)
		case u.Detector:
			return store.Invalid("update %q is a rule that others share; it is never installed and takes no package", u.Name)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	id = b.newID("package")
	doc, err := encoded(document.Package, id, p.Languages, body)
	if err != nil {
		return "", err
	}
	return id, b.write(ctx, "add package "+body.Name, edit{doc: doc, was: absent})
}

// RemovePackage takes away a package that a person added, with what staging learned of it.
func (b *Bulletins) RemovePackage(ctx context.Context, id, version string) error {
	var edits []edit
	err := b.catalog.Read(ctx, func(v *live.View) error {
		p := v.Package(id)
		switch {
		case p == nil:
			return store.NotFound("package", id)
		case !p.ByHand:
			return store.Invalid("package %q comes from a vendor; only packages added by hand can be removed", p.Name)
		case p.Origin != b.cfg.Site:
			return store.Invalid("package %q was added at site %q, and can be removed there alone", p.Name, p.Origin)
		}
		edits = append(edits, removal(document.Package, id, orNow(version, p.Digest.String())))
		if payload := v.AnyPayload(id); payload != nil {
			edits = append(edits, removal(document.Payload, id, payload.Digest.String()))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return b.write(ctx, "remove package "+id, edits...)
}

// body checks what a person gave.
func (p NewPackage) body(held func(sha256 string) bool) (catalog.Package, error) {
	body := catalog.Package{
		Update: p.Update, Name: p.Name, Files: slices.Clone(p.Files), Restart: p.Restart, UserInput: p.UserInput, ByHand: true,
	}
	if len(body.Files) == 0 {
		return body, store.Invalid("a package has at least one file")
	}
	names := map[string]bool{}
	for i := range body.Files {
		if err := checkFile(&body.Files[i], held); err != nil {
			return body, err
		}
		if name := strings.ToLower(body.Files[i].Name); names[name] {
			return body, store.Invalid("two files of the package are called %q", name)
		} else {
			names[name] = true
		}
	}
	run := p.Run
	if run == "" {
		run = body.Files[0].Name
	}
	if !names[strings.ToLower(run)] {
		return body, store.Invalid("no file of the package is called %q, which is to be run", run)
	}
	if body.Name == "" {
		body.Name = run
	}
	var err error
	body.Installer, err = p.installer(run)
	return body, err
}

// checkFile checks one file and names it after its address where it has no name.
func checkFile(f *catalog.File, held func(string) bool) error {
	f.SHA1, f.SHA256 = strings.ToLower(f.SHA1), strings.ToLower(f.SHA256)
	at, err := url.Parse(f.URL)
	switch {
	case f.URL != "" && (err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https"):
		return store.Invalid("%.200q is no http or https address", f.URL)
	case f.Name == "" && f.URL != "":
		f.Name = path.Base(at.Path)
	}
	switch {
	case f.Name == "" || f.Name == "." || f.Name == ".." || strings.ContainsAny(f.Name, `/\:*?"<>|`) || len(f.Name) > 200:
		return store.Invalid("%.200q is no file name", f.Name)
	case f.SHA256 == "" && f.SHA1 == "":
		return store.Invalid("file %q has no digest: give the SHA-256 that its vendor names", f.Name)
	case f.SHA256 != "" && !isHex(f.SHA256, 64):
		return store.Invalid("file %q: a SHA-256 has 64 hexadecimal digits", f.Name)
	case f.SHA1 != "" && !isHex(f.SHA1, 40):
		return store.Invalid("file %q: a SHA-1 has 40 hexadecimal digits", f.Name)
	case f.Size < 0:
		return store.Invalid("file %q: a size of %d bytes makes no sense", f.Name, f.Size)
	case f.URL == "" && (f.SHA256 == "" || held == nil || !held(f.SHA256)):
		return store.Invalid("file %q is not held here and has no address to fetch it from", f.Name)
	}
	return nil
}

func isHex(text string, digits int) bool {
	return len(text) == digits && strings.Trim(text, "0123456789abcdef") == ""
}

func (p NewPackage) installer(run string) (catalog.Installer, error) {
	kind := catalog.InstallerType(strings.ToLower(p.Type))
	if kind == "" {
		kind = catalog.InstallerType(strings.TrimPrefix(strings.ToLower(path.Ext(run)), "."))
	}
	if kind != catalog.MSI && kind != catalog.MSP && kind != catalog.EXE {
		return catalog.Installer{}, store.Invalid("%q is no installer that agents know; there are msi, msp and exe", kind)
	}
	made := catalog.Installer{
		Type: kind, File: run, Arguments: p.Arguments, ProductCode: p.Product, PatchCode: p.Patch,
		DefaultResult: catalog.Failed, Codes: p.Codes,
	}
	if len(made.Codes) == 0 {
		// What Windows Installer documents, and most other installers keep to.
		made.Codes = []catalog.ReturnCode{
			{Code: 0, Result: catalog.Succeeded},
			{Code: 1602, Result: catalog.Cancelled},
			{Code: 1641, Result: catalog.Succeeded, Restart: true},
			{Code: 3010, Result: catalog.Succeeded, Restart: true},
		}
	}
	return made, nil
}
