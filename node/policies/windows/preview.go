package windows

import (
	"time"

	"thatch/schedule"
)

// Preview is what a window that is not made yet would do.
type Preview struct {
	Text      string  `json:"text"` // when, in words
	Openings  []Opens `json:"openings"`
	Computers int     `json:"computers"` // for which it would be
}

// Opens is one time during which a window is open.
type Opens struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until,omitzero"` // zero: it never closes
}

const maxOpenings = 8

// Preview tells when a window would be open, now and next, and for how many computers. Where it names no zone it goes by
// local.
func (r *Room) Preview(body Body, local *time.Location) (*Preview, error) {
	if err := body.check(); err != nil {
		return nil, err
	}
	if err := r.checkDates(&body, nil); err != nil {
		return nil, err
	}
	p := &Preview{Text: describe(body.Window), Openings: []Opens{}}
	at := r.cfg.Now()
	if until, open := body.Open(at, local); open {
		p.add(at, at, until)
	}
	for len(p.Openings) < maxOpenings {
		start, end := body.Next(at, local)
		if start.IsZero() {
			break
		}
		p.add(at, start, end)
		at = start
	}
	row := []*Row{{}}
	r.count(row, []*Window{{Body: body}})
	p.Computers = row[0].Count
	return p, nil
}

func (p *Preview) add(now, from, until time.Time) {
	if schedule.Endless(now, until) {
		until = time.Time{}
	}
	p.Openings = append(p.Openings, Opens{From: from, Until: until})
}
