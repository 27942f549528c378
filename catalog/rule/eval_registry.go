package rule

import (
	"cmp"
	"strconv"
	"strings"

	"thatch/catalog/rule/expression"
	"thatch/catalog/version"
)

// place is where a registry rule looks.
type place struct {
	view View
	path string
}

func (p place) String() string {
	if p.view == WOW64 {
		return `HKLM(32-bit)\` + p.path
	}
	return `HKLM\` + p.path
}

// place resolves Key, Subkey and RegType32. Inside of a loop, Subkey "\" is the current subkey itself.
func (e *Evaluator) place(r *Rule) (place, answer, bool) {
	p := place{path: cleanPath(r.With["Subkey"])}
	if r.Flag("RegType32") {
		p.view = WOW64
	}
	switch hive := r.With["Key"]; {
	case hive == expression.LocalMachine:
	case hive == expression.LoopTarget && len(e.loop) > 0:
		p.path = joinPath(e.loop[len(e.loop)-1], p.path)
	case hive == expression.LoopTarget:
		return p, unknown("malformed rule: %s outside of RegKeyLoop", expression.LoopTarget), false
	default:
		return p, wrong(r, "Key"), false
	}
	if e.facts.Registry == nil {
		return p, unknown("the registry was not read"), false
	}
	return p, answer{}, true
}

// cleanPath makes double backslashes single and cuts those at the ends.
func cleanPath(path string) string {
	path = strings.Trim(path, `\`)
	for strings.Contains(path, `\\`) {
		path = strings.ReplaceAll(path, `\\`, `\`)
	}
	return path
}

func joinPath(folder, name string) string {
	switch {
	case folder == "":
		return name
	case name == "":
		return folder
	}
	return folder + `\` + name
}

// subkeys reads the names of a key's subkeys.
func (e *Evaluator) subkeys(p place) read[[]string] {
	key := keyName{p, true}
	fact, has := e.keys[key]
	if !has {
		names, exists, err := e.facts.Registry.Subkeys(p.view, p.path)
		fact = asRead(names, exists, err, "registry key %s", p)
		e.keys[key] = fact
	}
	return fact
}

// key reads whether a key exists, which sources answer more cheaply than its subkeys.
func (e *Evaluator) key(p place) read[[]string] {
	key := keyName{p, false}
	fact, has := e.keys[key]
	if !has {
		exists, err := e.facts.Registry.Key(p.view, p.path)
		fact = asRead[[]string](nil, exists, err, "registry key %s", p)
		e.keys[key] = fact
	}
	return fact
}

func (e *Evaluator) value(p place, name string) read[Value] {
	key := valueName{p, name}
	fact, has := e.values[key]
	if !has {
		value, exists, err := e.facts.Registry.Value(p.view, p.path, name)
		fact = asRead(value, exists, err, "registry value %s %q", p, name)
		e.values[key] = fact
	}
	return fact
}

func regKeyExists(e *Evaluator, r *Rule) answer {
	p, bad, ok := e.place(r)
	if !ok {
		return bad
	}
	key := e.key(p)
	if key.unread() {
		return key.failed
	}
	if e.explaining() {
		e.saw("%s %s", p, existence(key.exists))
	}
	return tell(key.exists)
}

func existence(exists bool) string {
	if exists {
		return "exists"
	}
	return "does not exist"
}

// found reads the value that a rule names. When it is not there or unreadable, ok is false and the answer final.
func (e *Evaluator) found(r *Rule) (v Value, final answer, ok bool) {
	p, bad, ok := e.place(r)
	if !ok {
		return v, bad, false
	}
	name := r.With["Value"]
	value := e.value(p, name)
	switch {
	case value.unread():
		return v, value.failed, false
	case !value.exists:
		if e.explaining() {
			e.saw("%s %q does not exist", p, name)
		}
		return v, no, false
	}
	if e.explaining() {
		e.saw("%s %q is %s %v", p, name, value.value.Type, value.value.Data)
	}
	return value.value, answer{}, true
}

func regValueExists(e *Evaluator, r *Rule) answer {
	v, final, ok := e.found(r)
	if !ok {
		return final
	}
	wanted, typed := r.With["Type"]
	return tell(!typed || strings.EqualFold(wanted, v.Type))
}

// otherType is the answer for a value whose type is not the one that the rule is about: what its maker would say of
// it is not known.
func otherType(r *Rule, v Value) answer {
	return unknown("%s asks for another type than registry value %q has, %s", r.Op, r.With["Value"], v.Type)
}

func regDword(e *Evaluator, r *Rule) answer {
	v, final, ok := e.found(r)
	if !ok {
		return final
	}
	have, ok := v.Data.(uint32)
	if !ok {
		return otherType(r, v)
	}
	want, err := strconv.ParseUint(r.With["Data"], 10, 32)
	if err != nil {
		return wrong(r, "Data")
	}
	return holds(r.With["Comparison"], cmp.Compare(have, uint32(want)))
}

func regSz(e *Evaluator, r *Rule) answer {
	have, final, ok := e.foundText(r, "REG_SZ")
	if !ok {
		return final
	}
	return textHolds(r, have)
}

// regExpandSz compares the text as it was read. One that still has variables in it cannot be told from what they
// stand for.
func regExpandSz(e *Evaluator, r *Rule) answer {
	have, final, ok := e.foundText(r, "REG_EXPAND_SZ")
	if !ok {
		return final
	}
	if strings.Count(have, "%") > 1 && !strings.Contains(r.With["Data"], "%") {
		return unknown("registry value %q has variables that were not expanded", r.With["Value"])
	}
	return textHolds(r, have)
}

// foundText is found for a value of a type of text.
func (e *Evaluator) foundText(r *Rule, typ string) (text string, final answer, ok bool) {
	v, final, ok := e.found(r)
	if !ok {
		return "", final, false
	}
	text, ok = v.Data.(string)
	if !ok || !strings.EqualFold(v.Type, typ) {
		return "", otherType(r, v), false
	}
	return strings.TrimRight(text, "\x00"), answer{}, true
}

// textHolds compares without regard to case, as Windows compares names: upper and lower case are the same character
// under Unicode's simple folding.
func textHolds(r *Rule, have string) answer {
	want := r.With["Data"]
	switch r.With["Comparison"] {
	case "EqualTo":
		return tell(strings.EqualFold(have, want))
	case "BeginsWith":
		return tell(strings.HasPrefix(fold(have), fold(want)))
	case "Contains":
		return tell(strings.Contains(fold(have), fold(want)))
	case "EndsWith":
		return tell(strings.HasSuffix(fold(have), fold(want)))
	}
	return wrong(r, "Comparison")
}

func fold(text string) string { return strings.ToLower(strings.ToUpper(text)) }

func regSzToVersion(e *Evaluator, r *Rule) answer {
	have, final, ok := e.foundText(r, "REG_SZ")
	if !ok {
		return final
	}
	want, err := version.ParseDotted(r.With["Data"])
	if err != nil {
		return wrong(r, "Data")
	}
	is, err := version.ParseDotted(have)
	if err != nil {
		return unknown("registry value %q: %s", r.With["Value"], err)
	}
	return holds(r.With["Comparison"], is.Compare(want))
}

// regKeyLoop asks its rule of every subkey. Of no subkeys at all, Any is false and None true; what All means is not
// known, so it is not told.
func regKeyLoop(e *Evaluator, r *Rule) answer {
	p, bad, ok := e.place(r)
	if !ok {
		return bad
	}
	key := e.subkeys(p)
	if key.unread() {
		return key.failed
	}
	if e.explaining() {
		e.saw("%s %s, %d subkeys", p, existence(key.exists), len(key.value))
	}
	names := key.value
	if !key.exists {
		names = nil
	}
	round := func(i int) answer {
		e.loop = append(e.loop, joinPath(p.path, names[i]))
		a := e.eval(r.Rules[0])
		e.loop = e.loop[:len(e.loop)-1]
		if e.explaining() {
			e.current.Rules[len(e.current.Rules)-1].Subkey = names[i]
		}
		return a
	}
	switch r.With["TrueIf"] {
	case "Any":
		return some(len(names), round)
	case "None":
		return some(len(names), round).not()
	case "All":
		if len(names) == 0 {
			return unknown("RegKeyLoop All over no subkeys of %s", p)
		}
		return all(len(names), round)
	}
	return wrong(r, "TrueIf")
}
