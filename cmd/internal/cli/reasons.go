package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Standing is why one update is not there: its status in the product's words, and a text for people.
type Standing struct {
	Bulletin, Update, Product string
	Status, Text              string
}

// named is what people tell an update by: every update of a bulletin for KB articles bears the article's name.
func (s *Standing) named() string {
	switch {
	case strings.Contains(s.Update, s.Product):
		return s.Update
	case s.Update == "" || strings.EqualFold(s.Update, s.Bulletin):
		return s.Product
	}
	return s.Update + " (" + s.Product + ")"
}

// says are the words for statuses after a number of updates: of one, of several. Failures stand last, where people look.
var says = []struct{ status, one, several string }{
	{"no package", "has no package yet", "have no package yet"},
	{"withdrawn", "was withdrawn", "were withdrawn"},
	{"not staged", "is not staged", "are not staged"},
	{"downloading", "is still being downloaded", "are still being downloaded"},
	{"", "", ""}, // any other
	{"failed", "could not be staged", "could not be staged"},
	{"refused", "is refused", "are refused"},
}

// rankOf is the place of a status in says.
func rankOf(status string) int {
	other := 0
	for i, s := range says {
		if s.status == status && status != "" {
			return i
		}
		if s.status == "" {
			other = i
		}
	}
	return other
}

func saying(status string, count int) string {
	s := says[rankOf(status)]
	switch {
	case s.status == "":
		if count == 1 {
			return "stands at " + status
		}
		return "stand at " + status
	case count == 1:
		return s.one
	}
	return s.several
}

// width is where lines of names end.
const width = 110

// Reasons writes why updates are not there: those with equal reasons together, by product, failures last.
func Reasons(w io.Writer, all []Standing) {
	type reason struct{ status, text string }
	groups := map[reason][]Standing{}
	for _, s := range all {
		r := reason{s.Status, s.Text}
		groups[r] = append(groups[r], s)
	}
	reasons := make([]reason, 0, len(groups))
	for r := range groups {
		reasons = append(reasons, r)
	}
	slices.SortFunc(reasons, func(a, b reason) int {
		return cmp.Or(cmp.Compare(rankOf(a.status), rankOf(b.status)), cmp.Compare(a.status, b.status),
			cmp.Compare(len(groups[b]), len(groups[a])), cmp.Compare(a.text, b.text))
	})
	for _, r := range reasons {
		group := groups[r]
		line := fmt.Sprintf("%d updates %s", len(group), saying(r.status, len(group)))
		if len(group) == 1 {
			line = "1 update " + saying(r.status, 1)
		}
		if text := strings.TrimPrefix(r.text, r.status+": "); text != "" {
			line += ": " + text
		}
		fmt.Fprintln(w, oneLine(line))
		members(w, group)
	}
}

// members writes a line, or some, for each bulletin.
func members(w io.Writer, group []Standing) {
	slices.SortStableFunc(group, func(a, b Standing) int {
		return cmp.Or(cmp.Compare(a.Bulletin, b.Bulletin), cmp.Compare(a.named(), b.named()))
	})
	for len(group) > 0 {
		bulletin := group[0].Bulletin
		end := slices.IndexFunc(group, func(s Standing) bool { return s.Bulletin != bulletin })
		if end < 0 {
			end = len(group)
		}
		line := "    " + oneLine(bulletin) + ":"
		for i, s := range group[:end] {
			name := " " + oneLine(s.named())
			if i+1 < end {
				name += ";" // names have commas in them
			}
			if utf8.RuneCountInString(line)+utf8.RuneCountInString(name) > width {
				fmt.Fprintln(w, line)
				line = "       "
			}
			line += name
		}
		fmt.Fprintln(w, line)
		group = group[end:]
	}
}
