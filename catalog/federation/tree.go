package federation

import "slices"

// Tree is a tree of sites as one of them knows it.
type Tree struct {
	Self   string              // id of the site that knows it
	Sites  map[string]Site     // by id, as each site tells it; some may be missing
	Shut   map[string]bool     // children of the site that knows it which are shut out
	parent map[string]string   // site -> the one above it, "" where there is none
	below  map[string][]string // site -> those directly below, sorted
}

// NewTree makes a tree of what sites tell, and of which stands above each: some of them may say nothing true.
func NewTree(self string, sites map[string]Site, parent map[string]string) *Tree {
	t := &Tree{Self: self, Sites: sites, parent: parent, below: map[string][]string{}}
	for site, above := range parent {
		if above != "" {
			t.below[above] = append(t.below[above], site)
		}
	}
	for _, list := range t.below {
		slices.Sort(list)
	}
	return t
}

// Parent is the id of the site above one, "" where there is none or it is not known.
func (t *Tree) Parent(site string) string { return t.parent[site] }

// Children are the ids of the sites directly below one, sorted.
func (t *Tree) Children(site string) []string { return t.below[site] }

// Below are the ids of all sites below one, without itself.
func (t *Tree) Below(site string) []string {
	seen := map[string]bool{site: true}
	list := []string{}
	for next := []string{site}; len(next) > 0; next = next[1:] {
		for _, child := range t.below[next[0]] {
			if !seen[child] {
				seen[child] = true
				list, next = append(list, child), append(next, child)
			}
		}
	}
	return list
}

// Served are the sites of Below that receive documents: those that are shut out, and those below them, do not.
func (t *Tree) Served(site string) []string {
	list := t.Below(site)
	for shut := range t.Shut {
		gone := append(t.Below(shut), shut)
		list = slices.DeleteFunc(list, func(id string) bool { return slices.Contains(gone, id) })
	}
	return list
}

// Above are the ids of the sites above one, nearest first. A ring, which must not be, ends where it closes.
func (t *Tree) Above(site string) []string {
	list := []string{}
	for at := t.parent[site]; at != "" && at != site && !slices.Contains(list, at); at = t.parent[at] {
		list = append(list, at)
	}
	return list
}

// Name is what a site is called, its id where it never said so.
func (t *Tree) Name(site string) string {
	if s, ok := t.Sites[site]; ok {
		return s.Name
	}
	return site
}

// Ring says whether the way up from this site never ends.
func (t *Tree) Ring() bool {
	at := t.parent[t.Self]
	for steps := 0; at != "" && at != t.Self && steps <= len(t.parent); steps++ {
		at = t.parent[at]
	}
	return at != ""
}
