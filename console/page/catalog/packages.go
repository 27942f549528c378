package catalog

import (
	"cmp"
	"net/http"
	"strings"

	"thatch/catalog"
	"thatch/console/api"
	apicatalog "thatch/console/api/catalog"
	"thatch/console/page"
	"thatch/node/bulletins"
	"thatch/node/bulletins/staging"
	"thatch/node/store"
)

func packageList() *page.Page {
	return &page.Page{
		Path: "/packages", Nav: "/updates", Title: "Packages",
		Help: page.Help{
			Text:    "The payloads of updates, one for each language. Where a vendor names none, add one by hand: its file is fetched from the address you give and held to its digest.",
			Command: []string{"thatch packages list --filter status=failed", "thatch packages add msrc/KB5000001/11568 --file ./update.msu"},
		},
		List: &page.List{
			Path: "/packages", Key: "id",
			Columns: []page.Column{
				{Name: "package", Title: "Package", Link: "/packages/{id}"},
				{Name: "bulletin", Title: "Bulletin", Link: "/bulletins/{bulletin_id}", Groups: true},
				{Name: "update_name", Title: "Update", Link: "/updates/{update}"},
				{Name: "update", Title: "Id of the update", Hidden: true},
				{Name: "languages", Title: "Languages", Groups: true},
				{Name: "installer", Title: "Installer", Groups: true},
				{Name: "files", Title: "Files", Kind: page.Number, Unsorted: true, Unfiltered: true},
				{Name: "size", Title: "Size", Kind: page.Bytes},
				{Name: "status", Title: "Staging", Kind: page.State, Choices: stagingStates, Groups: true},
				{Name: "text", Title: "Why", Kind: page.Said, Unsorted: true, Unfiltered: true, Wide: true},
				{Name: "matters", Title: "Matters here", Kind: page.Flag, Hidden: true},
				{Name: "by_hand", Title: "By hand", Kind: page.Flag},
			},
			Views: []page.ListView{
				{Title: "All", Query: ""},
				{Title: "In managed languages", Query: "matters=true"},
				{Title: "Needs a person", Query: "status=failed,refused"},
				{Title: "By hand", Query: "by_hand=true"},
			},
			Head:  func(q *page.Request) (string, any, error) { return "catalog-packages.html", nil, nil },
			Empty: "No package is known. Catalogs such as those of Dell, HP and Lenovo name them; for others, add one by hand.",
		},
		Acts: map[string]page.Act{"add": {Do: addPackage}},
	}
}

// addPackage adds a package of what the form says: each line of the field files is an address and a digest.
func addPackage(q *page.Request) (page.Outcome, error) {
	in := bulletins.NewPackage{
		Update: q.Form("update"), Name: q.Form("name"), Type: q.Form("type"), Arguments: q.Form("arguments"),
		Product: q.Form("product_code"), Patch: q.Form("patch_code"), Restart: catalog.Restart(q.Form("restart")),
		Languages: strings.FieldsFunc(strings.ToLower(q.Form("languages")), func(r rune) bool { return r == ',' || r == ' ' }),
	}
	for line := range strings.Lines(q.Form("files")) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case len(words) != 2:
			return page.Outcome{}, store.Invalid("%s", q.T("Each line of the files is an address and, after a space, its SHA-256. This one is not: %.200s", strings.TrimSpace(line)))
		default:
			in.Files = append(in.Files, catalog.File{URL: words[0], SHA256: words[1]})
		}
	}
	made, err := page.Send[api.Made](q, http.MethodPost, "/packages", apicatalog.PackageRequest{NewPackage: in})
	if err != nil {
		return page.Outcome{}, err
	}
	return page.Outcome{To: page.To("packages", made.ID), Note: q.T("The package is added. Stage its bulletin to fetch it.")}, nil
}

// packageShown is what the page of a package shows.
type packageShown struct {
	bulletins.PackageDetail
	Line      string // command line, as agents run it
	Uninstall string
	FileRows  []fileShown
	MayRemove bool
}

// fileShown is a file as its vendor names it, and as it was found.
type fileShown struct {
	catalog.File
	Address string // a link, "" none
	Found   *catalog.StagedFile
}

func packagePage() *page.Page {
	return &page.Page{
		Path: "/packages/{id}", Nav: "/updates", Title: "Package",
		Help: page.Help{
			Text:    "One payload of an update: its files with their digests, how it is run and how its answer is read, who signed it, and why it is not here if it is not.",
			Command: []string{"thatch packages show hp/sp94801/P1", "thatch packages remove by-hand-id"},
		},
		Show: showPackage,
		Acts: map[string]page.Act{
			"remove": {Do: func(q *page.Request) (page.Outcome, error) {
				query := map[string][]string{}
				if version := q.Form("version"); version != "" {
					query["version"] = []string{version}
				}
				_, err := q.Ask(http.MethodDelete, page.To("packages", q.Var("id")), query, nil)
				return page.Outcome{To: "/packages", Note: q.T("The package is removed.")}, err
			}},
			"stage": {Do: func(q *page.Request) (page.Outcome, error) { return stage(q, q.Form("bulletin")) }},
		},
	}
}

func showPackage(q *page.Request) (*page.View, error) {
	d, err := page.Get[bulletins.PackageDetail](q, page.To("packages", q.Var("id")))
	if err != nil {
		return nil, err
	}
	shown := &packageShown{PackageDetail: d, Line: commandLine(&d.Run), MayRemove: d.ByHand && q.Allows("DELETE /packages/{id}")}
	if d.Uninstall != nil {
		shown.Uninstall = commandLine(d.Uninstall)
	}
	for _, f := range d.FileList {
		row := fileShown{File: f, Address: link(f.URL)}
		for i := range d.Staged {
			if d.Staged[i].Name == f.Name {
				row.Found = &d.Staged[i]
			}
		}
		shown.FileRows = append(shown.FileRows, row)
	}
	return &page.View{
		Template: "catalog-package.html", Data: shown, Title: cmp.Or(d.Name, d.ID),
		Crumbs: []page.Link{{Text: q.T("Updates"), To: "/updates"}, {Text: d.Update, To: page.To("updates", d.Update)}},
	}, nil
}

// commandLine writes how an agent runs an installer.
func commandLine(i *catalog.Installer) string {
	line := i.File
	switch i.Type {
	case catalog.MSI:
		line = "msiexec /i " + i.File
	case catalog.MSP:
		line = "msiexec /p " + i.File
	}
	return strings.TrimSpace(line + " " + i.Arguments)
}

// Stands says whether a person has something to do about the package.
func (p *packageShown) Stands() bool {
	return p.Status == staging.Failed || p.Status == staging.Refused
}
