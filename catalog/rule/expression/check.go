package expression

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is something in a rule that the schemas do not allow. Where it is evaluated, the node cannot tell.
type Problem struct {
	Path string // "And[1].RegSz", counted from 0
	Text string
}

// Error makes a problem usable as an error.
func (p Problem) Error() string { return p.Path + ": " + p.Text }

// Check names every problem of a rule: missing attributes and ones of the wrong form, the number of children,
// HKEY_LOOP_TARGET outside of a loop, and the limits of decoding. Operators and attributes that this version does not
// know are no problem; see rule.Untold.
func Check(r *Node) []Problem {
	c := &checker{}
	if r == nil {
		return []Problem{{Text: "there is no rule"}}
	}
	c.node(r, r.Op, 1, false)
	if c.nodes > MaxNodes {
		c.add(r.Op, "has more than %d nodes", MaxNodes)
	}
	return c.problems
}

type checker struct {
	problems []Problem
	nodes    int
}

func (c *checker) add(path, format string, args ...any) {
	c.problems = append(c.problems, Problem{Path: path, Text: fmt.Sprintf(format, args...)})
}

func (c *checker) node(r *Node, path string, depth int, loop bool) {
	if c.nodes++; c.nodes > MaxNodes {
		return // said once, by Check
	}
	if depth > MaxDepth {
		c.add(path, "is deeper than %d levels", MaxDepth)
		return
	}
	known := vocabulary[r.Op]
	if known != nil {
		if wrong := known.Malformed(r); wrong != "" {
			c.add(path, "%s", wrong)
		}
		c.attributes(r, known, path, loop)
		c.meaning(r, path)
	} else if r.Op == "" {
		c.add(path, "names no operator")
	}
	for i, child := range r.Rules {
		if child == nil {
			c.add(fmt.Sprintf("%s[%d]", path, i), "is empty")
			continue
		}
		below := fmt.Sprintf("%s[%d].%s", path, i, child.Op)
		if known != nil && known.parts != nil {
			if !slices.Contains(known.parts, child.Op) {
				c.add(below, "is none of %s", strings.Join(known.parts, ", "))
			}
			c.data(child, below, depth+1)
			continue
		}
		c.node(child, below, depth+1, loop || r.Op == "RegKeyLoop")
	}
}

// data only counts: what metadata hold is checked by the tests that read them.
func (c *checker) data(r *Node, path string, depth int) {
	if c.nodes++; c.nodes > MaxNodes {
		return // said once, by Check
	}
	if depth > MaxDepth {
		c.add(path, "is deeper than %d levels", MaxDepth)
		return
	}
	for _, child := range r.Rules {
		if child != nil {
			c.data(child, path+"."+child.Op, depth+1)
		}
	}
}

func (c *checker) attributes(r *Node, known *Operator, path string, loop bool) {
	for _, a := range known.attributes {
		text, has := r.With[a.name]
		if !has {
			continue
		}
		k := forms[a.form]
		if !k.fits(text) {
			c.add(path, "%s=%q is not %s", a.name, Clip(text), k.name)
		}
		if a.form == "hive" && text == LoopTarget && !loop {
			c.add(path, "%s outside of RegKeyLoop", LoopTarget)
		}
	}
}

// meaning checks what attributes say together.
func (c *checker) meaning(r *Node, path string) {
	switch r.Op {
	case "WindowsVersion":
		for _, name := range []string{"MajorVersion", "MinorVersion", "BuildNumber", "ServicePackMajor", "ServicePackMinor", "SuiteMask", "ProductType"} {
			if _, has := r.With[name]; has {
				return
			}
		}
		c.add(path, "compares nothing")
	case "MsiFeatureInstalledForProduct", "MsiComponentInstalledForProduct":
		for _, part := range vocabulary[r.Op].parts {
			if len(r.Contents(part)) == 0 {
				c.add(path, "names no %s", part)
			}
		}
	case "MsiPatchInstalled", "MsiPatchSuperseded", "MsiPatchInstallable", "MsiApplicationInstalled", "MsiApplicationSuperseded", "MsiApplicationInstallable":
		c.metadata(r, vocabulary[r.Op].parts[0], path)
	}
}

// metadata checks what the tests of Windows Installer items read of their metadata.
func (c *checker) metadata(r *Node, name, path string) {
	metadata := r.Part(name)
	if metadata == nil {
		c.add(path, "has no %s", name)
		return
	}
	if name == "MsiApplicationMetadata" {
		if !forms["guid"].fits(metadata.Content("ProductCode")) {
			c.add(path, "its metadata have no ProductCode that is a GUID in braces")
		}
		if text := metadata.Content("ProductVersion"); text != "" && !isVersion(text) {
			c.add(path, "ProductVersion %q is not a version", Clip(text))
		}
		return
	}
	found, wrong := r.Targets()
	if wrong != "" {
		c.add(path, "%s", wrong)
	}
	for _, t := range found {
		version := t.Node.Part("TargetVersion")
		if !t.Node.Validated("TargetVersion") {
			continue
		}
		if text := version.With[Text]; !isVersion(text) {
			c.add(path, "TargetVersion %q is not a version", Clip(text))
		}
		if text := version.With["ComparisonType"]; text != "" && text != "None" && !slices.Contains(scalars, text) {
			c.add(path, "ComparisonType=%q is not None or %s", Clip(text), forms["scalar"].name)
		}
	}
}
