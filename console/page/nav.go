package page

// entries are the navigation, in its order. Those without a page are left out.
var entries = []struct{ path, title, group string }{
	{"/", "Home", ""},
	{"/bulletins", "Bulletins", "Patching"},
	{"/updates", "Updates", "Patching"},
	{"/cves", "CVEs", "Patching"},
	{"/policies", "Policies", "Patching"},
	{"/windows", "Maintenance windows", "Patching"},
	{"/computers", "Computers", "Computers"},
	{"/reports", "Reports", "Computers"},
	{"/hierarchy", "Hierarchy", "Sites"},
	{"/replication", "Replication", "Sites"},
	{"/site", "This site", "Sites"},
	{"/catalog", "Catalog", "Administration"},
	{"/tasks", "Tasks", "Administration"},
	{"/alarms", "Alarms", "Administration"},
	{"/backups", "Backups", "Administration"},
	{"/settings", "Settings", "Administration"},
	{"/operators", "Operators", "Administration"},
	{"/audit", "Audit", "Administration"},
	{"/help", "Help", "Administration"},
}

// navEntry is one line of the navigation.
type navEntry struct {
	Path, Title string
	Head        string // of a group that begins here, in English
	Current     bool
}

func (c *Console) navigation() []navEntry {
	var nav []navEntry
	group := ""
	for _, e := range entries {
		if c.pages[e.path] == nil {
			continue
		}
		line := navEntry{Path: e.path, Title: e.title}
		if e.group != group {
			group, line.Head = e.group, e.group
		}
		nav = append(nav, line)
	}
	return nav
}

// navFor is the navigation as an operator sees it on a page.
func (c *Console) navFor(q *Request) []navEntry {
	if q.Session.Only != "" {
		return nil
	}
	here := ""
	if q.page != nil {
		here = first(q.page.Nav, q.page.Path)
	}
	var nav []navEntry
	head := ""
	for _, line := range c.nav {
		head = first(line.Head, head)
		if !q.Opens(line.Path) {
			continue
		}
		line.Head, head = head, ""
		line.Current = line.Path == here
		nav = append(nav, line)
	}
	return nav
}
