package sites

import (
	"slices"

	"thatch/console/page"
	"thatch/node/sites/hierarchy"
)

// matrix is the languages of all sites: a row for each site, a column for each language that one manages, needs or speaks.
type matrix struct {
	Tags []string
	Rows []matrixRow
}

type matrixRow struct {
	hierarchy.Member
	Self  bool
	Cells []matrixCell
}

// matrixCell is a language at a site.
type matrixCell struct {
	Tag  string
	Mark string // managed, below (sites below manage it), lacking (they need it and cannot have it), spoken (by computers), ""
	Text string // of the mark, for those who do not see it
	Add  bool   // the reader's site may begin to manage it
}

func languages(q *page.Request, h hierarchy.Hierarchy) matrix {
	var m matrix
	for i := range h.Sites {
		s := &h.Sites[i]
		m.Tags = append(append(m.Tags, s.Languages...), s.Below...)
		for tag := range s.Computers {
			m.Tags = append(m.Tags, tag)
		}
	}
	slices.Sort(m.Tags)
	m.Tags = slices.Compact(m.Tags)
	for i := range h.Sites {
		s := &h.Sites[i]
		row := matrixRow{Member: *s, Self: s.ID == h.Self}
		for _, tag := range m.Tags {
			cell := cellOf(q, s, tag)
			cell.Add = row.Self && cell.Mark != "managed"
			row.Cells = append(row.Cells, cell)
		}
		m.Rows = append(m.Rows, row)
	}
	return m
}

func cellOf(q *page.Request, s *hierarchy.Member, tag string) matrixCell {
	c := matrixCell{Tag: tag}
	speak := s.Computers[tag]
	switch {
	case slices.Contains(s.Languages, tag):
		c.Mark, c.Text = "managed", q.T("managed")
	case slices.Contains(s.Lacking, tag):
		c.Mark, c.Text = "lacking", q.T("lacking: sites below need it")
	case speak > 0:
		c.Mark, c.Text = "spoken", q.Words.Count("lacking: 1 computer runs it", "lacking: %s computers run it", speak)
	}
	return c
}
