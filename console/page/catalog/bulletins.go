package catalog

import (
	"net/http"
	"net/url"
	"slices"

	"thatch/console/api"
	"thatch/console/api/offers"
	"thatch/console/page"
	"thatch/node/bulletins"
	"thatch/node/store"
)

const neverQuestion = "Never offer the chosen bulletins? They are staged no longer, go into no new policy and do not count as missing. Policies made before keep what they pin."

// bulletinList is the Patch Remediation Center.
func bulletinList() *page.Page {
	return &page.Page{
		Path: "/bulletins", Title: "Patch Remediation Center",
		Help: page.Help{
			Text:    "All bulletins of the vendors' catalogs. Choose some and stage them: every package of theirs that matters to this site is downloaded and checked. Policies are made of staged bulletins.",
			Command: []string{"thatch bulletins list --filter severity=Critical --sort -released", "thatch bulletins stage KB5000001", "thatch bulletins severity Urgent KB5000001", "thatch bulletins never KB5000001"},
		},
		List: &page.List{
			Path: "/bulletins", Key: "id", Sort: "-released", Limit: 50,
			Columns: bulletinColumns(),
			Views: []page.ListView{
				{Title: "All", Query: ""},
				{Title: "Latest", Query: "superseded=false"},
				{Title: "Last month", Query: "month={last-month}"},
				{Title: "By month", Query: "grouped=month&sort=-month"},
				{Title: "Needed here", Query: "needed=>0&sort=-needed"},
				{Title: "Exploited", Query: "exploited=true"},
				{Title: "Never staged", Query: "staged=false"},
				{Title: "Never offered", Query: "never_offered=true"},
			},
			Actions: []page.Action{
				{Name: "stage", Call: "POST /bulletins/stage", Title: "Stage"},
				{Name: "unstage", Call: "POST /bulletins/unstage", Title: "Unstage", Confirm: "Stage the chosen bulletins no longer? Policies keep what they pin."},
				{Name: "policy", Call: "POST /policies", Title: "Make a policy"},
				{Name: "severity", Call: "POST /bulletins/severity", Title: "Set", Fields: []page.Field{{Name: "severity", Title: "Custom Severity", Options: customSeverities}}},
				{Name: "never", Call: "POST /bulletins/never-offer", Title: "Never offer", Danger: true, Confirm: neverQuestion},
				{Name: "offer", Call: "POST /bulletins/offer", Title: "Offer again"},
			},
			Empty: "No vendor catalog has been imported yet. Import one on the page Catalog.",
		},
		Acts: map[string]page.Act{
			"stage":    {Do: chosen(stage)},
			"unstage":  {Do: chosen(unstage)},
			"policy":   {Do: chosen(makePolicy)},
			"severity": {Do: chosen(assign)},
			"never":    {Do: chosen(never)},
			"offer":    {Do: chosen(offer)},
		},
	}
}

func bulletinColumns() []page.Column {
	return []page.Column{
		{Name: "bulletin", Title: "Bulletin", Link: "/bulletins/{id}"},
		{Name: "severity", Title: "Severity", Kind: page.Severity, Choices: severities, Groups: true},
		{Name: "custom_severity", Title: "Custom Severity", Groups: true},
		{Name: "staged", Title: "Staged", Kind: page.Flag, Groups: true},
		{Name: "policies", Title: "Policies", Kind: page.Number},
		{Name: "updates", Title: "Updates", Kind: page.Number},
		{Name: "downloaded", Title: "Downloaded", Kind: page.Number},
		{Name: "released", Title: "Released", Kind: page.Date},
		{Name: "revised", Title: "Revised", Kind: page.Date},
		{Name: "exploited", Title: "Exploited", Kind: page.Flag, Groups: true},
		{Name: "cves", Title: "CVEs", Kind: page.Number, Link: "/cves?bulletins={bulletin}"},
		{Name: "needed", Title: "Needed", Kind: page.Number},
		{Name: "title", Title: "Description", Wide: true},
		{Name: "vendor", Title: "Vendor", Hidden: true, Groups: true, Values: vendors},
		{Name: "month", Title: "Month", Hidden: true, Groups: true},
		{Name: "disclosed", Title: "Disclosed", Kind: page.Flag, Hidden: true},
		{Name: "superseded", Title: "Superseded", Kind: page.Flag, Hidden: true, Groups: true},
		{Name: "never_offered", Title: "Never offered", Kind: page.Flag, Hidden: true},
		{Name: "source", Title: "Source", Hidden: true, Groups: true},
	}
}

// vendors are those of all bulletins.
func vendors(q *page.Request) ([]string, error) {
	groups, err := page.Get[api.List[store.Group]](q, "/bulletin-groups", "by", "vendor")
	var names []string
	for _, group := range groups.Items {
		if group.Value != "" {
			names = append(names, group.Value)
		}
	}
	slices.Sort(names)
	return names, err
}

// customSeverities are the choices of the site's own severities, and none of them.
func customSeverities(q *page.Request) ([]page.Option, error) {
	list, err := page.Get[api.List[*bulletins.SeverityRow]](q, "/severities", "limit", "200")
	options := []page.Option{{Value: "none", Text: q.T("no custom severity")}}
	for _, s := range list.Items {
		options = append(options, page.Option{Value: s.ID, Text: s.Name})
	}
	return options, err
}

// stage stages bulletins, and shows the run that downloads.
func stage(q *page.Request, ids ...string) (page.Outcome, error) {
	answer, err := page.Send[api.StageAnswer](q, http.MethodPost, "/bulletins/stage", api.Named{Bulletins: ids})
	if err != nil {
		return page.Outcome{}, err
	}
	note := q.Words.Count("1 bulletin is staged.", "%s bulletins are staged.", len(answer.Bulletins))
	if answer.Run == "" {
		return page.Outcome{Note: note + " " + q.T("There is nothing to download: their packages are here, or none is known.")}, nil
	}
	return page.Outcome{To: page.To("tasks", "runs", answer.Run), Note: note}, nil
}

func unstage(q *page.Request, ids ...string) (page.Outcome, error) {
	answer, err := page.Send[api.StageAnswer](q, http.MethodPost, "/bulletins/unstage", api.Named{Bulletins: ids})
	return page.Outcome{Note: q.Words.Count("1 bulletin is not staged any more.", "%s bulletins are not staged any more.", len(answer.Bulletins))}, err
}

// makePolicy goes to the policy wizard with bulletins chosen.
func makePolicy(_ *page.Request, ids ...string) (page.Outcome, error) {
	return page.Outcome{To: "/policies/new?" + url.Values{"bulletin": ids}.Encode()}, nil
}

func assign(q *page.Request, ids ...string) (page.Outcome, error) {
	answer, err := page.Send[api.StageAnswer](q, http.MethodPost, "/bulletins/severity", api.Named{Bulletins: ids, Severity: q.Form("severity")})
	return page.Outcome{Note: q.Words.Count("The custom severity of 1 bulletin is set.", "The custom severity of %s bulletins is set.", len(answer.Bulletins))}, err
}

func never(q *page.Request, ids ...string) (page.Outcome, error) {
	answer, err := page.Send[offers.Decided](q, http.MethodPost, "/bulletins/never-offer", offers.Named{Bulletins: ids})
	return page.Outcome{Note: q.Words.Count("1 bulletin is never offered.", "%s bulletins are never offered.", len(answer.Bulletins))}, err
}

func offer(q *page.Request, ids ...string) (page.Outcome, error) {
	answer, err := page.Send[offers.Decided](q, http.MethodPost, "/bulletins/offer", offers.Named{Bulletins: ids})
	return page.Outcome{Note: q.Words.Count("1 bulletin is offered again.", "%s bulletins are offered again.", len(answer.Bulletins))}, err
}
