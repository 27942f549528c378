package recorded

import (
	"encoding/csv"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"thatch/catalog/rule"
)

// readFields takes systeminfo's output apart, whichever of its three formats it has.
func readFields(text string) []field {
	if fields := csvFields(text); fields != nil {
		return fields
	}
	if fields := tableFields(text); fields != nil {
		return fields
	}
	return listFields(text)
}

// listFields reads "Label:   value" with indented lines below.
func listFields(text string) []field {
	var fields []field
	for line := range strings.SplitSeq(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "":
		case line[0] == ' ' || line[0] == '\t':
			if n := len(fields); n > 0 {
				fields[n-1].lines = append(fields[n-1].lines, trimmed)
			}
		default:
			colon := strings.IndexAny(line, ":：")
			if colon < 0 {
				continue
			}
			value := strings.TrimPrefix(strings.TrimPrefix(line[colon:], ":"), "：")
			fields = append(fields, field{value: strings.TrimSpace(value)})
		}
	}
	return fields
}

// csvFields reads systeminfo /fo csv, with or without its header; nil when it is something else.
func csvFields(text string) []field {
	trimmed := strings.TrimSpace(text)
	if !strings.HasPrefix(trimmed, `"`) {
		return nil
	}
	r := csv.NewReader(strings.NewReader(trimmed))
	r.FieldsPerRecord, r.LazyQuotes = -1, true
	rows, err := r.ReadAll()
	if err != nil {
		return nil
	}
	for _, row := range rows {
		if slices.ContainsFunc(row, func(cell string) bool { return osVersion(cell) != nil }) {
			return cells(row)
		}
	}
	return nil
}

var entry = regexp.MustCompile(`,?\s*(\[\d+\]:)`)

// cells makes fields of the cells of a row: what a list writes below a label stands there behind commas.
func cells(row []string) []field {
	fields := make([]field, len(row))
	for i, cell := range row {
		parts := strings.Split(entry.ReplaceAllString(cell, "\n$1"), "\n")
		fields[i].value = strings.TrimSpace(parts[0])
		for _, line := range parts[1:] {
			fields[i].lines = append(fields[i].lines, strings.TrimSpace(line))
		}
	}
	return fields
}

// tableFields reads systeminfo /fo table: a line of "====" below the labels gives the columns.
func tableFields(text string) []field {
	lines := strings.Split(text, "\n")
	ruler := slices.IndexFunc(lines, func(line string) bool {
		return strings.Count(line, "=") > 50 && strings.Trim(line, "= ") == ""
	})
	if ruler < 0 || ruler+1 >= len(lines) {
		return nil
	}
	row := []rune(lines[ruler+1])
	var values []string
	for from := 0; from < len(lines[ruler]); {
		to := strings.IndexByte(lines[ruler][from:], ' ')
		if to < 0 {
			to = len(lines[ruler]) - from
		}
		values = append(values, strings.TrimSpace(string(row[min(from, len(row)):min(from+to, len(row))])))
		from += to + 1
	}
	return cells(values)
}

// nothing is what programs write when no hotfix is installed.
var nothing = regexp.MustCompile(`(?i)^(n/a|n/d|n/v|s/o|н/д|暂缺|不適用|該当なし|해당 없음|nie dotyczy|nicht zutreffend|nvt|n\.v\.t\.?|hotfixid|no instance\(s\) available\.?)$`)

// ReadHotfixes reads a list of installed hotfixes: wmic qfe with any columns, Get-HotFix, one KB number per line, or a
// whole systeminfo output. An empty list, or one that says so, means that none is installed.
func ReadHotfixes(raw []byte) (*rule.Hotfixes, error) {
	text, err := Decode(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotRecorded, err)
	}
	fields := readFields(text)
	if slices.ContainsFunc(fields, func(f field) bool { return osVersion(f.value) != nil }) {
		h, err := readHost(text)
		if err != nil {
			return nil, err
		}
		if h.Facts.Hotfixes == nil {
			return nil, fmt.Errorf("%w: systeminfo's output without a hotfix list", ErrNotRecorded)
		}
		return h.Facts.Hotfixes, nil
	}
	return plainHotfixes(text)
}

var (
	bareNumber = regexp.MustCompile(`^\d{6,8}$`)
	columnHead = regexp.MustCompile(`(?i)\bhotfixid\b`)
)

func plainHotfixes(text string) (*rule.Hotfixes, error) {
	list := &rule.Hotfixes{KBs: []string{}, Complete: true}
	head, others := false, 0
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.Trim(strings.TrimSpace(line), `",`)
		found := kbsOf([]string{line})
		switch {
		case line == "":
		case len(found) > 0:
			list.KBs = append(list.KBs, found...)
		case bareNumber.MatchString(line):
			list.KBs = append(list.KBs, line)
		case nothing.MatchString(line), columnHead.MatchString(line):
			head = true
		default:
			others++
		}
	}
	if len(list.KBs) == 0 && others > 0 && !head {
		return nil, fmt.Errorf("%w: no KB number is in it; give the output of wmic qfe or Get-HotFix, or an empty file where none is installed", ErrNotRecorded)
	}
	slices.Sort(list.KBs)
	list.KBs = slices.Compact(list.KBs)
	return list, nil
}
