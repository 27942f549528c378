package catalog

import (
	"cmp"
	"net/url"

	"thatch/console/page"
	"thatch/node/bulletins"
	"thatch/node/computers/compliance/report"
)

func updateList() *page.Page {
	return &page.Page{
		Path: "/updates", Title: "Updates",
		Help: page.Help{
			Text:    "What bulletins bring to one product each. An update has rules that say where it is applicable and installed, and packages that install it.",
			Command: []string{"thatch updates list --filter bulletin=KB5000001", "thatch updates list --filter no_rule=yes"},
		},
		List: &page.List{
			Path: "/updates", Key: "id", Limit: 50,
			Columns: []page.Column{
				{Name: "update", Title: "Update", Link: "/updates/{id}"},
				{Name: "bulletin", Title: "Bulletin", Link: "/bulletins/{bulletin_id}", Groups: true},
				{Name: "product", Title: "Product", Groups: true},
				{Name: "severity", Title: "Severity", Kind: page.Severity, Choices: severities, Groups: true},
				{Name: "class", Title: "Class", Groups: true},
				{Name: "month", Title: "Month", Groups: true},
				{Name: "packages", Title: "Packages", Kind: page.Number},
				{Name: "status", Title: "Staging", Kind: page.State, Choices: stagingStates, Groups: true},
				{Name: "exploited", Title: "Exploited", Kind: page.Flag},
				{Name: "superseded", Title: "Superseded", Kind: page.Flag},
				{Name: "kb", Title: "KB", Hidden: true},
				{Name: "number", Title: "Number", Kind: page.Number, Hidden: true},
				{Name: "withdrawn", Title: "Withdrawn", Kind: page.Flag, Hidden: true},
				{Name: "detector", Title: "Shared rule", Kind: page.Flag, Hidden: true},
				{Name: "no_rule", Title: "Why there is no rule", Hidden: true},
				{Name: "source", Title: "Source", Hidden: true, Groups: true},
			},
			Views: []page.ListView{
				{Title: "All", Query: ""},
				{Title: "Latest", Query: "superseded=false&sort=-month"},
				{Title: "By product", Query: "grouped=product"},
				{Title: "Exploited", Query: "exploited=true"},
				{Title: "Needs a person", Query: "status=failed,refused"},
				{Title: "Without a rule", Query: "no_rule=true&columns=update,bulletin,product,no_rule"},
			},
			Empty: "No vendor catalog has been imported yet. Import one on the page Catalog.",
		},
	}
}

// stagingStates are where an update or a package can stand.
var stagingStates = []string{"not staged", "downloading", "ready", "failed", "refused", "no package", "withdrawn"}

// updateShown is what the page of an update shows.
type updateShown struct {
	bulletins.UpdateDetail
	Article   string
	Rules     []ruleShown
	Packages  *page.Table
	Here      *report.UpdateRow
	Computers *page.Table // nil: nobody counts it
	Replaced  *page.Table // updates that it supersedes
	Replacing *page.Table // updates that supersede it
}

// ruleShown is one of the rules of an update.
type ruleShown struct {
	Title string
	Tree  *ruleNode
}

func updatePage() *page.Page {
	return &page.Page{
		Path: "/updates/{id}", Nav: "/updates", Title: "Update",
		Help: page.Help{
			Text:    "Everything known of one update: the rules that computers are held against, its packages in each language, what it supersedes, and how it stands on each computer.",
			Command: []string{"thatch updates show msrc/KB5000001/11568", "thatch compliance update msrc/KB5000001/11568"},
		},
		Show: showUpdate,
	}
}

func showUpdate(q *page.Request) (*page.View, error) {
	d, err := page.Get[bulletins.UpdateDetail](q, page.To("updates", q.Var("id")))
	if err != nil {
		return nil, err
	}
	shown := &updateShown{UpdateDetail: d, Article: link(d.URL)}
	shown.rules(q)
	shown.Packages = q.Grid(d.PackageList, packagesOf()...)
	shown.Replaced, shown.Replacing = q.Grid(d.Supersedes, references()...), q.Grid(d.SupersededBy, references()...)
	if !d.Withdrawn && !d.Detector {
		if shown.Here, err = one[report.UpdateRow](q, "/compliance/updates", "id", d.ID); err != nil {
			return nil, err
		}
	}
	if shown.Here != nil {
		if shown.Computers, err = q.Table(computersOf("/compliance/updates/{id}/computers", "/computers/{id}/updates/"+url.PathEscape(d.ID))); err != nil {
			return nil, err
		}
	}
	return &page.View{
		Template: "catalog-update.html", Data: shown, Title: cmp.Or(d.Name, d.ID),
		Crumbs: []page.Link{{Text: q.T("Updates"), To: "/updates"}, {Text: cmp.Or(d.Bulletin, d.Of), To: page.To("bulletins", d.Of)}},
	}, nil
}

func (u *updateShown) rules(q *page.Request) {
	left := maxRuleNodes
	for _, r := range []ruleShown{
		{q.T("Applicable where"), ruleTree(u.UpdateDetail.Rules.Applicable, &left)},
		{q.T("Installed where"), ruleTree(u.UpdateDetail.Rules.Installed, &left)},
		{q.T("Superseded where"), ruleTree(u.UpdateDetail.Rules.Superseded, &left)},
	} {
		if r.Tree != nil {
			u.Rules = append(u.Rules, r)
		}
	}
}

// computersOf is the list of computers that something concerns; why is where the status of one leads.
func computersOf(path, why string) *page.List {
	return &page.List{
		Path: path, Key: "id", Limit: 50,
		Columns: []page.Column{
			{Name: "computer", Title: "Computer", Link: "/computers/{id}", Wide: true},
			{Name: "group", Title: "Group", Groups: true},
			{Name: "status", Title: "Status", Kind: page.State, Link: why, Choices: []string{"missing", "failed", "installed", "unknown", "pending"}, Groups: true},
			{Name: "last_seen", Title: "Last seen", Kind: page.Ago},
		},
		Views: []page.ListView{
			{Title: "All", Query: ""},
			{Title: "Open", Query: "status=missing,failed"},
			{Title: "Failed", Query: "status=failed"},
			{Title: "Installed", Query: "status=installed"},
			{Title: "Cannot tell", Query: "status=unknown"},
			{Title: "Not asked yet", Query: "status=pending"},
		},
		Empty: "No computer of this site is concerned.",
	}
}

// packagesOf are the columns of packages below their update.
func packagesOf() []page.Column {
	return []page.Column{
		{Name: "package", Title: "Package", Link: "/packages/{id}", Wide: true},
		{Name: "languages", Title: "Languages"},
		{Name: "installer", Title: "Installer"},
		{Name: "files", Title: "Files", Kind: page.Number},
		{Name: "size", Title: "Size", Kind: page.Bytes},
		{Name: "status", Title: "Staging", Kind: page.State},
		{Name: "text", Title: "Why", Kind: page.Said},
		{Name: "by_hand", Title: "By hand", Kind: page.Flag},
	}
}

func references() []page.Column {
	return []page.Column{
		{Name: "update", Title: "Update", Link: "/updates/{id}"},
		{Name: "bulletin", Title: "Bulletin", Link: "/bulletins/{bulletin}"},
		{Name: "id", Title: "Id", Wide: true},
	}
}
