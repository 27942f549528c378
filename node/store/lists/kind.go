package lists

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Kind says what the values of a column of a list are, and so how people may write a filter.
type Kind string

// The kinds of columns.
const (
	Text   Kind = ""
	Number Kind = "number"
	Flag   Kind = "flag" // yes or no
	Time   Kind = "time" // days, months and years too; sorted as text; never is empty
)

// never is how people say of a time that it has not come.
const never = "never"

// allowed tells people what a column takes.
var allowed = map[Kind]string{
	Number: `a number such as 5, ">5", "<5", "!5" (other than) or "1,2" (one of)`,
	Flag:   `yes or no`,
	Time: `a day such as 2026-03-31, a month, a year, or a time such as 2026-03-31T08:00Z, each also with ">" or "<" before it; ` +
		`"2026-03*" (beginning with), "!" (other than), or never`,
}

// Plain checks a filter of a column of this kind (see Query.Filter) and returns it as values are written: flags true or
// false, times in UTC without their zone, never empty. What the column can never hold is ErrInvalid, so that nobody takes
// a slip for "none".
func (k Kind) Plain(column, wanted string) (string, error) {
	if k == Text {
		return wanted, nil
	}
	rest := strings.TrimLeft(wanted, "!")
	signs := wanted[:len(wanted)-len(rest)]
	if k != Flag && rest != "" && (rest[0] == '>' || rest[0] == '<') {
		signs, rest = signs+rest[:1], rest[1:]
	} else if prefix, cut := strings.CutSuffix(rest, "*"); cut && k == Time {
		if digits := strings.Trim(prefix, "0123456789-:.tTzZ "); digits == "" {
			return signs + strings.ToUpper(prefix) + "*", nil
		}
	} else if choices := strings.Split(rest, ","); len(choices) > 1 {
		for i, choice := range choices {
			plain, ok := k.plain(choice)
			if !ok {
				return "", k.refuse(column, wanted)
			}
			choices[i] = plain
		}
		return signs + strings.Join(choices, ","), nil
	}
	plain, ok := k.plain(rest)
	if !ok {
		return "", k.refuse(column, wanted)
	}
	return signs + plain, nil
}

func (k Kind) refuse(column, wanted string) error {
	return Invalid("the column %q cannot be filtered by %.60q: it takes %s", column, wanted, allowed[k])
}

// plain is one value without signs.
func (k Kind) plain(text string) (string, bool) {
	text = strings.TrimSpace(text)
	switch k {
	case Number:
		n, err := strconv.ParseFloat(text, 64)
		return text, err == nil && !math.IsInf(n, 0) && !math.IsNaN(n)
	case Flag:
		is, err := parseBool(text)
		return strconv.FormatBool(is), err == nil
	}
	return plainTime(text)
}

// times are how people may write one, with how much of it they said.
var times = []struct{ layout, said string }{
	{"2006", "2006"},
	{"2006-01", "2006-01"},
	{"2006-01-02", "2006-01-02"},
	{"2006-01-02T15:04", "2006-01-02T15:04"},
	{"2006-01-02T15:04Z07:00", "2006-01-02T15:04"},
	{"2006-01-02T15:04:05", "2006-01-02T15:04:05"},
	{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05"},
}

func plainTime(text string) (string, bool) {
	if text == "" || strings.EqualFold(text, never) {
		return "", true
	}
	text = strings.ToUpper(strings.Replace(text, " ", "T", 1))
	for _, t := range times {
		at, err := time.Parse(t.layout, text)
		if err != nil {
			continue
		}
		if _, fraction, cut := strings.Cut(text, "."); cut {
			// Lists hold milliseconds, and some leave zeros at the end out.
			fraction = fraction[:len(fraction)-len(strings.TrimLeft(fraction, "0123456789"))]
			fraction = strings.TrimRight(fraction[:min(3, len(fraction))], "0")
			return strings.TrimRight(at.UTC().Format(t.said)+"."+fraction, "."), true
		}
		return at.UTC().Format(t.said), true
	}
	return "", false
}

// sinceNever is a time as text, for comparing: what never came is before all.
func sinceNever(value string) string {
	if strings.EqualFold(value, never) {
		return ""
	}
	return value
}

// timeFits says whether a time as text is in what was said: in the year, the month, the day, the minute.
func timeFits(value, said string) bool {
	if said == "" {
		return sinceNever(value) == ""
	}
	return strings.HasPrefix(value, said)
}
