package expression

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// canonical reads rules as Encode writes them, several times faster than encoding/json: agents decode thousands of
// rules for every scan. It takes nothing else: whatever is not of that form is left to encoding/json, whose answer is
// the same for what is.
type canonical struct {
	text  string // texts of nodes are parts of it
	at    int
	nodes int
	slab  []Node
}

// parse returns nil when the text is not of the canonical form, or beyond the limits.
func (c *canonical) parse() *Node {
	if !utf8.ValidString(c.text) {
		return nil // encoding/json mends it
	}
	if n := c.node(1); c.at == len(c.text) {
		return n
	}
	return nil
}

// accept steps over a text if it is what comes next.
func (c *canonical) accept(text string) bool {
	if !strings.HasPrefix(c.text[c.at:], text) {
		return false
	}
	c.at += len(text)
	return true
}

func (c *canonical) node(depth int) *Node {
	c.nodes++
	if depth > MaxDepth || c.nodes > MaxNodes || !c.accept(`{"op":`) {
		return nil
	}
	n := c.allot()
	var ok bool
	if n.Op, ok = c.quoted(); !ok || n.Op == "" {
		return nil
	}
	if c.accept(`,"with":{`) && !c.with(n) || c.accept(`,"rules":[`) && !c.rules(n, depth) || !c.accept("}") {
		return nil
	}
	return n
}

// allot takes a node from a slab.
func (c *canonical) allot() *Node {
	if len(c.slab) == 0 {
		c.slab = make([]Node, min(max(c.nodes, 4), 64))
	}
	n := &c.slab[0]
	c.slab = c.slab[1:]
	return n
}

// with reads what follows the brace of "with". Names that come twice are left to encoding/json, as is an empty map.
func (c *canonical) with(n *Node) bool {
	n.With = make(map[string]string, 4)
	for {
		name, ok := c.quoted()
		if _, twice := n.With[name]; !ok || twice || !c.accept(":") {
			return false
		}
		if n.With[name], ok = c.quoted(); !ok {
			return false
		}
		if c.accept("}") {
			return true
		}
		if !c.accept(",") {
			return false
		}
	}
}

func (c *canonical) rules(n *Node, depth int) bool {
	var few [8]*Node
	children := few[:0]
	for {
		child := c.node(depth + 1)
		if child == nil {
			return false
		}
		children = append(children, child)
		if c.accept("]") {
			n.Rules = append(make([]*Node, 0, len(children)), children...)
			return true
		}
		if !c.accept(",") {
			return false
		}
	}
}

// quoted reads a text. It knows the escapes that rules have in practice.
func (c *canonical) quoted() (text string, ok bool) {
	if !c.accept(`"`) {
		return "", false
	}
	from := c.at
	for c.at < len(c.text) {
		switch b := c.text[c.at]; {
		case b == '"':
			text = c.text[from:c.at]
			c.at++
			return text, true
		case b == '\\':
			return c.escaped(from)
		case b < ' ':
			return "", false
		}
		c.at++
	}
	return "", false
}

// escaped goes on with a text at its first backslash.
func (c *canonical) escaped(from int) (text string, ok bool) {
	var out strings.Builder
	out.Grow(c.at - from + 64)
	out.WriteString(c.text[from:c.at])
	for c.at < len(c.text) {
		switch b := c.text[c.at]; {
		case b == '"':
			c.at++
			return out.String(), true
		case b < ' ':
			return "", false
		case b != '\\':
			out.WriteByte(b)
			c.at++
		default:
			r, length := escape(c.text[c.at:])
			if length == 0 {
				return "", false
			}
			out.WriteByte(r)
			c.at += length
		}
	}
	return "", false
}

// escape reads \\, \", \/ and \u00XX below 80; length is 0 for everything else.
func escape(text string) (b byte, length int) {
	if len(text) < 2 {
		return 0, 0
	}
	switch text[1] {
	case '\\', '"', '/':
		return text[1], 2
	case 'u':
		if len(text) < 6 {
			return 0, 0
		}
		n, err := strconv.ParseUint(text[2:6], 16, 16)
		if err != nil || n >= 0x80 {
			return 0, 0
		}
		return byte(n), 6
	}
	return 0, 0
}
