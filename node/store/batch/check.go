package batch

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Check says what makes a batch unfit to be applied on every node alike: no statement, a group that stands in two
// places, an argument of another type, or SQL whose outcome could differ (clock, random, INSERT ... SELECT without
// ORDER BY, OR REPLACE, several statements in one). It judges the text alone and is done by whoever proposes; applying
// never judges.
func (b Batch) Check() error {
	if len(b.Statements) == 0 {
		return fmt.Errorf("batch %q has no statements", b.Reason)
	}
	groups := map[int]bool{}
	for i, s := range b.Statements {
		if i == 0 || s.Group != b.Statements[i-1].Group {
			if groups[s.Group] {
				return fmt.Errorf("batch %q, statement %d: group %d comes again; statements of a group must stand together",
					b.Reason, i, s.Group)
			}
			groups[s.Group] = true
		}
		if err := s.check(); err != nil {
			return fmt.Errorf("batch %q, statement %d: %w", b.Reason, i, err)
		}
	}
	return nil
}

func (s Statement) check() error {
	for i, arg := range s.Args {
		switch arg.(type) {
		case nil, bool, int, int64, float64, string, []byte, Index, Position:
		default:
			return fmt.Errorf("argument %d has type %T, want nil, bool, int, int64, float64, string, []byte, Index or Position", i, arg)
		}
	}
	verdict := judged(s.SQL)
	if verdict.problem != "" {
		return fmt.Errorf("%s: %.200q", verdict.problem, s.SQL)
	}
	if len(s.Args) != verdict.inputs {
		return fmt.Errorf("%d arguments for %d parameters: %.200q", len(s.Args), verdict.inputs, s.SQL)
	}
	if s.Want != 0 && !verdict.counts {
		return fmt.Errorf("rows can be wanted of INSERT, UPDATE and DELETE only: %.200q", s.SQL)
	}
	if s.Want < NoRows {
		return fmt.Errorf("wants %d rows: %.200q", s.Want, s.SQL)
	}
	return nil
}

// verdict is what is known of an SQL text.
type verdict struct {
	problem string // why no batch may hold it
	counts  bool   // it affects rows
	inputs  int    // number of its parameters
}

// Parameters is the number of arguments that an SQL text takes.
func Parameters(text string) int { return judged(text).inputs }

// verdicts remembers the texts judged. Texts are few, constants of the program; should someone make them up on the
// fly all the same, the memory starts anew now and then.
var verdicts = struct {
	sync.RWMutex
	known map[string]verdict
}{known: map[string]verdict{}}

const maxVerdicts = 4096

func judged(text string) verdict {
	verdicts.RLock()
	v, ok := verdicts.known[text]
	verdicts.RUnlock()
	if ok {
		return v
	}
	v = judge(text)
	verdicts.Lock()
	defer verdicts.Unlock()
	if len(verdicts.known) >= maxVerdicts {
		clear(verdicts.known)
	}
	verdicts.known[text] = v
	return v
}

var (
	firstWords = map[string]bool{ // value: affects rows
		"INSERT": true, "UPDATE": true, "DELETE": true, "WITH": true,
		"CREATE": false, "ALTER": false, "DROP": false,
	}
	unsteadyWords = map[string]bool{
		"CURRENT_TIMESTAMP": true, "CURRENT_TIME": true, "CURRENT_DATE": true, "ROWID": true, "_ROWID_": true,
	}
	unsteadyCalls = map[string]bool{
		"RANDOM": true, "RANDOMBLOB": true, "CHANGES": true, "TOTAL_CHANGES": true, "LAST_INSERT_ROWID": true,
		"SQLITE_VERSION": true, "SQLITE_SOURCE_ID": true,
	}
	clockCalls = map[string]bool{
		"DATE": true, "TIME": true, "DATETIME": true, "JULIANDAY": true, "UNIXEPOCH": true, "STRFTIME": true,
	}
)

// judge reads the words of one SQL text.
func judge(text string) verdict {
	words := scan(text)
	if len(words) == 0 {
		return verdict{problem: "no SQL"}
	}
	counts, known := firstWords[words[0].text]
	if !known {
		return verdict{problem: "a batch holds INSERT, UPDATE, DELETE and changes of the schema only"}
	}
	now, calls, selects, ordered, inputs := false, false, false, false, 0
	for i, w := range words {
		after := func(n int) string {
			if i+n < len(words) {
				return words[i+n].text
			}
			return ""
		}
		switch {
		case w.text == ";" && i < len(words)-1:
			return verdict{problem: "more than one statement in a text"}
		case unsteadyWords[w.text] && (i == 0 || words[i-1].text != "WITHOUT"), unsteadyCalls[w.text] && after(1) == "(":
			return verdict{problem: strings.ToLower(w.text) + " can differ from node to node; resolve it before"}
		case w.text == "OR" && (after(1) == "REPLACE" || after(1) == "ROLLBACK" || after(1) == "FAIL"):
			return verdict{problem: "OR " + after(1) + " is not allowed; use ON CONFLICT ... DO UPDATE"}
		case w.text == ":" || w.text == "@" || w.text == "$":
			return verdict{problem: "parameters are ? or ?1, not named"}
		case w.text[0] == '?':
			inputs++
			if n, err := strconv.Atoi(w.text[1:]); err == nil {
				inputs = max(inputs-1, n)
			}
		case clockCalls[w.text] && after(1) == "(":
			calls = true
			now = now || after(2) == ")"
		case w.text == "'NOW'":
			now = true
		case w.text == "SELECT" && w.depth == 0:
			selects = true
		case w.text == "ORDER" && w.depth == 0:
			ordered = true
		}
	}
	switch {
	case now && calls:
		return verdict{problem: "reads the clock; resolve it before"}
	case selects && !ordered && words[0].text != "CREATE":
		return verdict{problem: "INSERT ... SELECT needs an ORDER BY"}
	case selects && words[0].text == "CREATE" && words[1].text == "TABLE":
		return verdict{problem: "CREATE TABLE ... AS is not allowed; create, then insert"}
	}
	return verdict{counts: counts, inputs: inputs}
}

type word struct {
	text  string // upper case; string literals with their quotes
	depth int    // of parentheses
}

// scan splits SQL into words, literals and punctuation, and leaves out comments and spaces.
func scan(text string) []word {
	var words []word
	depth := 0
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case strings.HasPrefix(text[i:], "--"):
			i = end(text, i, "\n")
			continue
		case strings.HasPrefix(text[i:], "/*"):
			i = end(text, i, "*/")
			continue
		}
		start := i
		switch {
		case c == '\'' || c == '"' || c == '`':
			i = end(text, i+1, string(c))
		case c == '[':
			i = end(text, i, "]")
		case letter(c), c == '?':
			i++
			for i < len(text) && letter(text[i]) {
				i++
			}
		default:
			i++
		}
		if c == ')' {
			depth--
		}
		words = append(words, word{text: strings.ToUpper(text[start:i]), depth: depth})
		if c == '(' {
			depth++
		}
	}
	return words
}

// end is the position after the next mark from start on, or that of the end.
func end(text string, start int, mark string) int {
	if at := strings.Index(text[start:], mark); at >= 0 {
		return start + at + len(mark)
	}
	return len(text)
}

func letter(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}
