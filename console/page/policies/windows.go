package policies

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"thatch/console/api"
	ordered "thatch/console/api/policies"
	"thatch/console/page"
	"thatch/node/identity"
	"thatch/node/policies/windows"
	"thatch/schedule"
)

const (
	windowsPath = "/windows"
	windowPath  = "/windows/{id}"
)

// windowPages are those of maintenance windows.
func windowPages() []*page.Page {
	return []*page.Page{windowList(), newWindow(), windowPage(), changeWindow()}
}

func windowList() *page.Page {
	return &page.Page{
		Path: windowsPath, Title: "Maintenance windows",
		Help: page.Help{
			Text:    "While windows apply to a computer, installs start there only when one of them is open. An install that outlasts its window is completed; the restart waits for the next one. A computer without a window may install at any time.",
			Command: []string{"thatch windows list", "thatch windows create --name night --repeat daily --start 22:00 --for 4h"},
		},
		List: &page.List{
			Path: windowsPath, Key: "id",
			Columns: []page.Column{
				{Name: "name", Title: "Window", Link: "/windows/{id}"},
				{Name: "repeat", Title: "Repeated", Kind: page.State, Choices: []string{"daily", "weekly", "monthly"}, Groups: true},
				{Name: "text", Title: "When", Kind: page.Said, Wide: true, Unsorted: true, Unfiltered: true},
				{Name: "open", Title: "Open", Kind: page.Flag},
				{Name: "closes", Title: "Closes", Kind: page.Time, Unsorted: true, Unfiltered: true},
				{Name: "opens", Title: "Opens next", Kind: page.Time, Unsorted: true, Unfiltered: true},
				{Name: "computers", Title: "Computers", Kind: page.Number},
				{Name: "site", Title: "Site", Groups: true},
				{Name: "problem", Title: "Problem", Kind: page.Said, Unsorted: true, Unfiltered: true},
				{Name: "zone", Title: "Time zone", Hidden: true, Groups: true},
				{Name: "minutes", Title: "Minutes", Kind: page.Number, Hidden: true},
				{Name: "from_above", Title: "From above", Kind: page.Flag, Hidden: true, Groups: true},
			},
			Views: []page.ListView{
				{Title: "All", Query: ""}, {Title: "Open now", Query: "open=true"}, {Title: "Of this site", Query: "from_above=false"}, {Title: "From above", Query: "from_above=true"},
			},
			Empty: "There is no maintenance window: computers may install at any time.",
			Head:  func(*page.Request) (string, any, error) { return "window-list-head.html", nil, nil },
		},
	}
}

// windowFields are those of the form of a window.
var windowFields = append([]string{
	"name", "repeat", "weekday", "week", "offset", "opens", "hours", "minutes", "zone", "from", "until", "version",
}, targetFields...)

func windowField(name string) bool { return slices.Contains(windowFields, name) }

// window is the maintenance window that a form says.
func (f fields) window(q *page.Request) (windows.Body, error) {
	w := windows.Body{Window: schedule.Window{
		Name: f.Get("name"), Repeat: schedule.Repeat(f.Get("repeat")), Start: f.Get("opens"), Zone: f.Get("zone"), From: f.Get("from"), Until: f.Get("until"),
	}}
	if w.Repeat != schedule.Daily {
		for _, day := range f["weekday"] {
			w.Weekdays = append(w.Weekdays, schedule.Weekday(day))
		}
	}
	hours, err := f.count(q, "hours")
	if err != nil {
		return w, err
	}
	minutes, err := f.count(q, "minutes")
	if err != nil {
		return w, err
	}
	if w.Minutes = minutes; hours <= schedule.MaxMinutes {
		w.Minutes += hours * 60
	}
	if w.Repeat == schedule.Monthly {
		w.Week = schedule.Week(f.Get("week"))
		if w.OffsetDays, err = f.count(q, "offset"); err != nil {
			return w, err
		}
	}
	if slices.ContainsFunc(targetFields, func(name string) bool { return f.Get(name) != "" }) {
		w.Target = f.target(false)
	}
	return w, nil
}

func windowFieldsOf(w *windows.Row) fields {
	f := fields{}
	for name, value := range map[string]string{
		"name": w.Name, "repeat": string(w.Repeat), "week": string(w.Week), "opens": w.Start, "zone": w.Zone, "from": w.From, "until": w.Until, "version": w.Version,
	} {
		f.set(name, value)
	}
	for _, day := range w.Weekdays {
		f["weekday"] = append(f["weekday"], string(day))
	}
	f.setCount("offset", w.OffsetDays)
	f.setCount("hours", w.Minutes/60)
	f.setCount("minutes", w.Minutes%60)
	if w.Target != nil {
		f.setTarget(w.Target, false)
	}
	return f
}

// opening asks when a window would open, for people of the reader's zone.
func opening(q *page.Request, w windows.Body) (*windows.Preview, error) {
	answer, err := q.Ask(http.MethodPost, "/windows/preview", url.Values{"zone": {q.Zone().String()}}, w)
	if err != nil {
		return nil, err
	}
	p, _ := answer.(*windows.Preview)
	return p, nil
}

// windowData is what the form of a window shows.
type windowData struct {
	F         fields
	Weekdays  []page.Option
	Weeks     []page.Option
	Platforms []string
	Roles     []page.Option
	Wrong     string
	P         *windows.Preview
	Back      string
	Do        string // what the main button does
}

// windowForm shows the form of a window, and when it opens as far as it says so.
func windowForm(q *page.Request, f fields, do, back string) (*page.View, error) {
	d := windowData{
		F: f, Platforms: platforms(f["platform"], nil), Roles: roles(q), Back: back, Do: do,
		Weekdays: []page.Option{
			{Value: "monday", Text: q.T("Monday")},
			{Value: "tuesday", Text: q.T("Tuesday")},
			{Value: "wednesday", Text: q.T("Wednesday")},
			{Value: "thursday", Text: q.T("Thursday")},
			{Value: "friday", Text: q.T("Friday")},
			{Value: "saturday", Text: q.T("Saturday")},
			{Value: "sunday", Text: q.T("Sunday")},
		},
		Weeks: []page.Option{
			{Value: "first", Text: q.T("first")},
			{Value: "second", Text: q.T("second")},
			{Value: "third", Text: q.T("third")},
			{Value: "fourth", Text: q.T("fourth")},
			{Value: "last", Text: q.T("last")},
		},
	}
	if f.Get("opens") != "" {
		w, err := f.window(q)
		if err == nil {
			if w.Name == "" {
				w.Name = "-"
			}
			d.P, err = opening(q, w)
		}
		if err != nil {
			e := api.AsError(err)
			if e.Status >= http.StatusInternalServerError {
				return nil, err
			}
			d.Wrong = e.Text
		}
	}
	return &page.View{Template: "window-form.html", Data: d, Crumbs: []page.Link{{Text: q.T("Maintenance windows"), To: windowsPath}}}, nil
}

// lookAct keeps what the form says in the address, and so has it counted.
func lookAct() page.Act {
	return page.Act{Do: func(q *page.Request) (page.Outcome, error) {
		return page.Outcome{To: asked(q, windowField).at(q.R.URL.EscapedPath())}, nil
	}}
}

func newWindow() *page.Page {
	return &page.Page{
		Path: windowsPath + "/new", Nav: windowsPath, Title: "Make a maintenance window", Scope: identity.Operate, Takes: "POST /windows",
		Help: page.Help{
			Text:    "A window opens daily, on days of the week, or on a day that is counted in the month: the fourth day after the second Tuesday, say. Without a time zone it goes by each computer's own clock.",
			Command: []string{"thatch windows create --name 'after Patch Tuesday' --repeat monthly --week second --weekdays tuesday --days-after 4 --start 20:00 --for 8h"},
		},
		Show: func(q *page.Request) (*page.View, error) {
			return windowForm(q, asked(q, windowField), "create", windowsPath)
		},
		Acts: map[string]page.Act{"look": lookAct(), "create": {Do: func(q *page.Request) (page.Outcome, error) {
			w, err := asked(q, windowField).window(q)
			if err != nil {
				return page.Outcome{}, err
			}
			made, err := page.Send[*windows.Row](q, http.MethodPost, "/windows", w)
			if err != nil {
				return page.Outcome{}, err
			}
			return page.Outcome{To: page.To("windows", made.ID), Note: q.T("%s is made.", made.Name)}, nil
		}}},
	}
}

func changeWindow() *page.Page {
	return &page.Page{
		Path: windowPath + "/change", Nav: windowsPath, Title: "Change a maintenance window", Scope: identity.Operate, Takes: "PUT /windows/{id}",
		Help: page.Help{Text: "When the window opens, and for which computers.", Command: []string{"thatch windows change night --start 23:00"}},
		Show: func(q *page.Request) (*page.View, error) {
			w, err := page.Get[*windows.Row](q, page.To("windows", q.Var("id")))
			if err != nil {
				return nil, err
			}
			f := asked(q, windowField)
			if len(f) == 0 {
				f = windowFieldsOf(w)
			}
			view, err := windowForm(q, f, "change", page.To("windows", w.ID))
			if view != nil {
				view.Title = q.T("Change %s", w.Name)
			}
			return view, err
		},
		Acts: map[string]page.Act{"look": lookAct(), "change": {Do: func(q *page.Request) (page.Outcome, error) {
			f := asked(q, windowField)
			w, err := f.window(q)
			if err != nil {
				return page.Outcome{}, err
			}
			now, err := page.Send[*windows.Row](q, http.MethodPut, page.To("windows", q.Var("id")), ordered.WindowChange{Body: w, Version: f.Get("version")})
			if err != nil {
				return page.Outcome{}, err
			}
			return page.Outcome{To: page.To("windows", now.ID), Note: q.T("%s is changed.", now.Name)}, nil
		}}},
	}
}

func windowPage() *page.Page {
	return &page.Page{
		Path: windowPath, Nav: windowsPath, Title: "Maintenance window",
		Help: page.Help{
			Text:    "When the window is open, now and next, and for how many computers of this site. Times are yours; a window without a time zone opens at that time on each computer's own clock.",
			Command: []string{"thatch windows show night", "thatch windows delete night"},
		},
		Show: func(q *page.Request) (*page.View, error) {
			w, err := page.Get[*windows.Row](q, page.To("windows", q.Var("id")))
			if err != nil {
				return nil, err
			}
			var p *windows.Preview
			if w.Problem == "" {
				body := windows.Body{Window: w.Window, Target: w.Target}
				if p, err = opening(q, body); err != nil && api.AsError(err).Status >= http.StatusInternalServerError {
					return nil, err // what is wrong with it otherwise is that it never opens again
				}
			}
			return &page.View{
				Template: "window.html", Title: w.Name, Data: map[string]any{"W": w, "P": p, "Hours": duration(w.Minutes)},
				Crumbs: []page.Link{{Text: q.T("Maintenance windows"), To: windowsPath}},
			}, nil
		},
		Acts: map[string]page.Act{"delete": {Do: func(q *page.Request) (page.Outcome, error) {
			_, err := q.Ask(http.MethodDelete, page.To("windows", q.Var("id")), url.Values{"version": {q.Form("version")}}, nil)
			return page.Outcome{To: windowsPath, Note: q.T("%s is deleted.", q.Form("called"))}, err
		}}},
	}
}

// duration writes minutes as 8:30.
func duration(minutes int) string {
	rest := strconv.Itoa(minutes % 60)
	if len(rest) < 2 {
		rest = "0" + rest
	}
	return strconv.Itoa(minutes/60) + ":" + rest
}
