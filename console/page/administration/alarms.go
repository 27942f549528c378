package administration

import (
	"net/http"
	"net/url"
	"strings"

	"thatch/console/api"
	"thatch/console/page"
	"thatch/node/identity"
	"thatch/node/sites"
)

// alarmRow is an alarm with where to see to it.
type alarmRow struct {
	sites.Alarm
	Title string
	Place string // address; "" none
}

type alarmView struct{ Standing, Past []alarmRow }

// alarmTitles are what people call the kinds of alarms.
var alarmTitles = map[string]string{
	sites.LanguageBelow: "Language needed below", sites.LanguageComputers: "Language of computers", sites.LanguageAbove: "Language not managed above",
	sites.Silent: "Silent site", sites.Ring: "Ring of sites", sites.Untrusted: "Signers that are not trusted", sites.Diverged: "Another past",
	sites.Quarantine: "Quarantine", sites.Refused: "Refused documents", sites.ShutOut: "Shut out", sites.NotJoined: "Not joined",
	sites.Damaged: "Damaged documents", sites.Claimed: "Claimed site", sites.Backup: "Backups",
}

// placeOf is where an alarm is seen to.
func placeOf(a sites.Alarm) string {
	switch a.Kind {
	case sites.LanguageBelow, sites.LanguageComputers, sites.LanguageAbove:
		return "/hierarchy#languages"
	case sites.Quarantine:
		return "/replication/quarantine"
	case sites.Untrusted:
		return "/settings#staging.trusted"
	case sites.Silent, sites.Diverged, sites.Refused, sites.ShutOut, sites.Claimed:
		id, _, _ := strings.Cut(a.Subject, " ")
		return page.To("sites", id)
	case sites.Ring, sites.NotJoined:
		return "/hierarchy"
	case sites.Backup:
		return "/backups"
	case sites.Damaged:
		return "/replication"
	}
	return ""
}

func alarmList() *page.Page {
	return &page.Page{
		Path: "/alarms", Title: "Alarms",
		Help: page.Help{
			Text:    "What calls for a person in the tree of sites, with what to do next. Alarms end by themselves when what they say is true no more; one that was seen to can be dismissed, and comes again when it is true again.",
			Command: []string{"thatch alarms list --filter standing=yes", "thatch alarms clear KIND SUBJECT"},
		},
		Show: func(q *page.Request) (*page.View, error) {
			all, err := page.Get[api.List[sites.Alarm]](q, "/alarms", "limit", "500")
			if err != nil {
				return nil, err
			}
			var v alarmView
			for _, a := range all.Items {
				row := alarmRow{a, a.Kind, placeOf(a)}
				if title, known := alarmTitles[a.Kind]; known {
					row.Title = q.T(title)
				}
				if a.Cleared.IsZero() {
					v.Standing = append(v.Standing, row)
				} else {
					v.Past = append(v.Past, row)
				}
			}
			return &page.View{Template: "administration-alarms.html", Data: v}, nil
		},
		Acts: map[string]page.Act{"dismiss": {Scope: identity.Operate, Do: func(q *page.Request) (page.Outcome, error) {
			_, err := q.Ask(http.MethodDelete, "/alarms/one", url.Values{"kind": {q.Form("kind")}, "subject": {q.Form("subject")}}, nil)
			return page.Outcome{Note: q.T("The alarm is dismissed. It comes again when it is true again.")}, err
		}}},
	}
}
