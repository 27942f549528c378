package store_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestEveryTableIsBounded: DESIGN.md says of every table what bounds it.
func TestEveryTableIsBounded(t *testing.T) {
	schema, err := os.ReadFile("schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	design, err := os.ReadFile("DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, found := strings.Cut(string(design), "## What bounds each table")
	part, _, _ = strings.Cut(part, "\n## ")
	if !found {
		t.Fatal("DESIGN.md has no such part")
	}
	said := map[string]int{}
	for line := range strings.Lines(part) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 {
			continue
		}
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cells[1], -1) {
			said[name[1]]++
		}
	}
	for _, table := range regexp.MustCompile(`(?m)^CREATE TABLE (\w+)`).FindAllStringSubmatch(string(schema), -1) {
		if said[table[1]] != 1 {
			t.Errorf("table %s: DESIGN.md says %d times what bounds it", table[1], said[table[1]])
		}
		delete(said, table[1])
	}
	for name := range said {
		t.Errorf("DESIGN.md bounds a table %s that there is not", name)
	}
}
