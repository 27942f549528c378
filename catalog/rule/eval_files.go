package rule

import (
	"cmp"
	"strconv"
	"time"

	"thatch/catalog/rule/expression"
	"thatch/catalog/version"
)

// noFolder says that a path begins at its own root.
const noFolder = -1

// stat reads the file that a rule names: in the folder Csidl, or in the one that a registry value names (the
// PrependRegSz twins). When it is not there or unreadable, ok is false and the answer final.
func (e *Evaluator) stat(r *Rule) (info FileInfo, final answer, ok bool) {
	name := fileName{csidl: noFolder, path: cleanFile(r.With["Path"])}
	if text, given := r.With["Csidl"]; given {
		csidl, err := strconv.Atoi(text)
		if err != nil {
			return info, wrong(r, "Csidl"), false
		}
		name.csidl = csidl
	}
	if _, prepended := r.With["Key"]; prepended {
		folder, final, ok := e.foundText(r, "REG_SZ")
		if !ok {
			return info, final, false
		}
		name.path = joinPath(cleanFile(folder), name.path)
	}
	if e.facts.Files == nil {
		return info, unknown("the files were not read"), false
	}
	fact, has := e.stats[name]
	if !has {
		info, exists, err := e.facts.Files.Stat(name.csidl, name.path)
		fact = asRead(info, exists, err, "file %s", name)
		e.stats[name] = fact
	}
	if fact.unread() {
		return info, fact.failed, false
	}
	if e.explaining() {
		e.sawFile(name, fact)
	}
	return fact.value, no, fact.exists
}

func (e *Evaluator) sawFile(name fileName, fact read[FileInfo]) {
	if !fact.exists {
		e.saw("%s does not exist", name)
		return
	}
	e.saw("%s has version %s, %d bytes, modified %s", name, version.DottedOf(fact.value.Version), fact.value.Size, fact.value.Modified.Format(time.RFC3339))
}

func (n fileName) String() string {
	if n.csidl == noFolder {
		return n.path
	}
	return "folder " + strconv.Itoa(n.csidl) + `\` + n.path
}

// cleanFile makes double backslashes single, but for those that a network path begins with.
func cleanFile(path string) string {
	if len(path) > 1 && path[:2] == `\\` {
		return `\\` + cleanPath(path)
	}
	return cleanPath(path)
}

func fileExists(e *Evaluator, r *Rule) answer {
	info, final, ok := e.stat(r)
	if !ok {
		return final
	}
	tests := [...]func() answer{
		func() answer { return given(r, "Version", func() answer { return versionOf(r, "EqualTo", info) }) },
		func() answer {
			return given(r, "Created", func() answer { return timeOf(r, "Created", "EqualTo", info.Created) })
		},
		func() answer {
			return given(r, "Modified", func() answer { return timeOf(r, "Modified", "EqualTo", info.Modified) })
		},
		func() answer {
			return given(r, "Size", func() answer { return numberOf(r, "Size", "EqualTo", info.Size) })
		},
		func() answer {
			return given(r, "Language", func() answer { return numberOf(r, "Language", "EqualTo", int64(info.Language)) })
		},
	}
	return all(len(tests), func(i int) answer { return tests[i]() })
}

// given tests an attribute only where it is there.
func given(r *Rule, name string, test func() answer) answer {
	if _, has := r.With[name]; !has {
		return yes
	}
	return test()
}

func fileVersion(e *Evaluator, r *Rule) answer {
	info, final, ok := e.stat(r)
	if !ok {
		return final
	}
	return versionOf(r, r.With["Comparison"], info)
}

func fileCreated(e *Evaluator, r *Rule) answer {
	info, final, ok := e.stat(r)
	if !ok {
		return final
	}
	return timeOf(r, "Created", r.With["Comparison"], info.Created)
}

func fileModified(e *Evaluator, r *Rule) answer {
	info, final, ok := e.stat(r)
	if !ok {
		return final
	}
	return timeOf(r, "Modified", r.With["Comparison"], info.Modified)
}

func fileSize(e *Evaluator, r *Rule) answer {
	info, final, ok := e.stat(r)
	if !ok {
		return final
	}
	return numberOf(r, "Size", r.With["Comparison"], info.Size)
}

func versionOf(r *Rule, comparison string, info FileInfo) answer {
	want, err := version.ParseDotted(r.With["Version"])
	if err != nil {
		return wrong(r, "Version")
	}
	return holds(comparison, version.DottedOf(info.Version).Compare(want))
}

// timeOf compares whole seconds, in which file systems and catalogs agree. A time that was not read cannot be told.
func timeOf(r *Rule, name, comparison string, have time.Time) answer {
	want, err := expression.ParseTime(r.With[name])
	if err != nil {
		return wrong(r, name)
	}
	if have.IsZero() {
		return unknown("when file %s was %s was not read", expression.Clip(r.With["Path"]), name)
	}
	return holds(comparison, cmp.Compare(have.Unix(), want.Unix()))
}

func numberOf(r *Rule, name, comparison string, have int64) answer {
	want, bad, ok := number(r, name)
	if !ok {
		return bad
	}
	return holds(comparison, cmp.Compare(have, want))
}
