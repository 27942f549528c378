package administration

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"thatch/console/api"
	"thatch/console/api/families"
	"thatch/console/page"
	"thatch/node/identity"
	"thatch/node/settings"
)

// groups are the settings by the first part of their names, in the order of the page.
var groups = []struct{ prefix, title string }{
	{"agents", "Agents"},
	{"downloads", "Downloads"},
	{"catalog", "Product exclusions"},
	{"staging", "Payloads and their signatures"},
	{"payloads", "Copies of payloads"},
	{"replication", "Standard schedules of replication"},
	{"health", "What sites above are told"},
	{"site", "The site"},
	{"policies", "Policies"},
	{"operators", "Operators"},
	{"oidc", "Single sign-on"},
	{"keep", "What is kept, and for how long"},
	{"metrics", "Metrics"},
}

// settingGroup is the settings of one group.
type settingGroup struct {
	ID, Title string
	Settings  []settingRow
}

// settingRow is a setting as a form has it.
type settingRow struct {
	settings.Entry
	Input    string // check, number, line, lines, list, secret, choice
	Stands   string // as the form writes it
	Standard string // its default, likewise
	Was      string // as it stood when the form was made
	Choices  []string
}

func settingList() *page.Page {
	return &page.Page{
		Path: "/settings", Title: "Settings",
		Help: page.Help{
			Text:    "What holds for the whole site, by group. Each setting has a default, which may change with the program; what is set here stays. Somebody else's change in the meantime is told, and nothing is overwritten.",
			Command: []string{"thatch settings list", "thatch settings set agents.check_in 900", "thatch settings set catalog.excluded_families --default"},
		},
		Show: showSettings,
		Acts: map[string]page.Act{"save": {Scope: identity.Administrator, Do: saveSettings}},
	}
}

func showSettings(q *page.Request) (*page.View, error) {
	all, err := page.Get[api.List[settings.Entry]](q, "/settings")
	if err != nil {
		return nil, err
	}
	var shown []settingGroup
	for _, g := range groups {
		shown = append(shown, settingGroup{ID: g.prefix, Title: q.T(g.title)})
	}
	for _, e := range all.Items {
		prefix, _, _ := strings.Cut(e.Name, ".")
		at := slices.IndexFunc(shown, func(g settingGroup) bool { return g.ID == prefix })
		if at < 0 { // of a room that came later
			shown = append(shown, settingGroup{ID: prefix, Title: prefix})
			at = len(shown) - 1
		}
		shown[at].Settings = append(shown[at].Settings, rowOf(q, e))
	}
	shown = slices.DeleteFunc(shown, func(g settingGroup) bool { return len(g.Settings) == 0 })
	return &page.View{Template: "administration-settings.html", Data: shown}, nil
}

// rowOf is a setting as the form shows it; where the form was refused, with what was written.
func rowOf(q *page.Request, e settings.Entry) settingRow {
	row := settingRow{Entry: e, Was: plain(e.Value), Standard: plain(e.Default), Choices: e.Choices}
	switch {
	case e.Type == "boolean":
		row.Input = "check"
	case e.Type == "number":
		row.Input = "number"
	case e.Type == "list of texts":
		row.Input = "list"
	case e.Type == "secret":
		row.Input, row.Was = "secret", ""
	case len(e.Choices) > 0:
		row.Input = "choice"
	case strings.HasSuffix(e.Name, "authorities") || strings.HasSuffix(e.Name, "roots"):
		row.Input = "lines"
	default:
		row.Input = "line"
	}
	row.Stands = row.Was
	if q.Sent() && q.R.PostForm.Has("was "+e.Name) {
		row.Stands = written(q, e.Name, e.Type)
	}
	return row
}

// plain writes a setting's value as a form does: lists one in a line.
func plain(raw json.RawMessage) string {
	var text string
	var list []string
	switch {
	case json.Unmarshal(raw, &text) == nil:
		return text
	case json.Unmarshal(raw, &list) == nil:
		return strings.Join(list, "\n")
	}
	return string(raw)
}

// written is what a form says of a setting, in the same way.
func written(q *page.Request, name, kind string) string {
	text := strings.ReplaceAll(q.R.PostForm.Get(name), "\r\n", "\n")
	switch kind {
	case "boolean":
		if text == "" {
			return "false"
		}
		return "true"
	case "list of texts":
		var lines []string
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "\n")
	}
	return strings.TrimSpace(text)
}

// encoded is what is written as the API takes it.
func encoded(text, kind string) (json.RawMessage, error) {
	switch kind {
	case "boolean", "number":
		if !json.Valid([]byte(text)) {
			return json.Marshal(text) // refused with the reason
		}
		return json.RawMessage(text), nil
	case "list of texts":
		list := []string{}
		if text != "" {
			list = strings.Split(text, "\n")
		}
		return json.Marshal(list)
	}
	return json.Marshal(text)
}

// saveSettings sets those settings of a group that the form changed, each from the version that the form was made of.
func saveSettings(q *page.Request) (page.Outcome, error) {
	all, err := page.Get[api.List[settings.Entry]](q, "/settings")
	if err != nil {
		return page.Outcome{}, err
	}
	reset, changed := q.Form("reset"), 0
	for _, e := range all.Items {
		if !q.R.PostForm.Has("was "+e.Name) || reset != "" && reset != e.Name {
			continue
		}
		text := written(q, e.Name, e.Type)
		if reset == "" && text == strings.ReplaceAll(q.R.PostForm.Get("was "+e.Name), "\r\n", "\n") {
			continue
		}
		change := api.SettingChange{Value: json.RawMessage("null")}
		if reset == "" {
			if change.Value, err = encoded(text, e.Type); err != nil {
				return page.Outcome{}, err
			}
		}
		version, err := q.Version("version " + e.Name)
		if err != nil {
			return page.Outcome{}, err
		}
		change.Version = &version
		if _, err := page.Send[settings.Entry](q, http.MethodPut, page.To("settings", e.Name), change); err != nil {
			return page.Outcome{}, err
		}
		changed++
	}
	note := q.Words.Count("1 setting is changed.", "%s settings are changed.", changed)
	if changed == 0 {
		note = q.T("Nothing was changed.")
	}
	return page.Outcome{To: "/settings#" + q.Form("group"), Note: note}, nil
}

// familyView is the page of product families.
type familyView struct {
	Exclude  string // one in a line
	Setting  bool   // it is what the setting says
	Families []*families.Family
	LeftOut  int // updates
	Updates  int
}

func familyList() *page.Page {
	return &page.Page{
		Path: "/settings/families", Nav: "/settings", Title: "Product families",
		Help: page.Help{
			Text:    "What imports would leave out of the catalog as it is here, before you set it. What former imports left out is not in the catalog and not counted.",
			Command: []string{"thatch catalog families", "thatch catalog families --exclude Mariner", "thatch settings set catalog.excluded_families Mariner"},
		},
		Show: func(q *page.Request) (*page.View, error) {
			v := familyView{Exclude: q.Arg("exclude")}
			if v.Exclude == "" {
				entry, err := page.Get[settings.Entry](q, page.To("settings", settings.ExcludedFamilies.Name))
				if err != nil {
					return nil, err
				}
				v.Exclude, v.Setting = plain(entry.Value), true
			}
			found, err := page.Get[api.List[*families.Family]](q, "/catalog/families", "exclude", v.Exclude, "sort", "-left_out", "limit", "500")
			v.Families = found.Items
			for _, f := range v.Families {
				v.Updates += f.Updates
				v.LeftOut += f.LeftOut
			}
			return &page.View{Template: "administration-families.html", Data: v, Crumbs: []page.Link{{Text: q.T("Settings"), To: "/settings#catalog"}}}, err
		},
	}
}
