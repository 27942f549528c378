package change_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"thatch/node/identity/change"
)

func hide(name string) bool { return name == "password" }

func line(changes []change.Change) string {
	var parts []string
	for _, c := range changes {
		parts = append(parts, c.Field+"="+c.Before+">"+c.After)
	}
	return strings.Join(parts, " ")
}

func TestBetween(t *testing.T) {
	for _, c := range []struct{ name, before, after, only, want string }{
		{"the same", `{"a":1,"b":[1,2]}`, `{"b":[1,2],"a":1}`, "", ""},
		{"a field", `{"a":1,"b":"x"}`, `{"a":2,"b":"x"}`, "", "a=1>2"},
		{"nested", `{"t":{"names":["a*"]}}`, `{"t":{"names":["a*","b"],"needs":true}}`, "", "t.names=a*>a*, b t.needs=>true"},
		{"made", ``, `{"id":"1","on":false,"n":0,"at":"0001-01-01T00:00:00Z","name":"x"}`, "", "id=>1 name=>x"},
		{"removed", `{"name":"x","on":false}`, ``, "", "name=x>"},
		{"nothing at all", ``, ``, "", ""},
		{"null is nothing", `{"a":null}`, `{"a":""}`, "", ""},
		{"entries by id, as people call them", `[{"id":"7","name":"old","n":1},{"id":"8","name":"y"}]`, `[{"id":"8","name":"y"},{"id":"7","name":"new","n":2}]`, "", "[new].n=1>2 [new].name=old>new"},
		{"entries by place", `{"l":[{"n":1},{"n":2}]}`, `{"l":[{"n":1},{"n":3}]}`, "", "l[2].n=2>3"},
		{"an answer that is a list", `{"items":[{"id":"a","x":1}],"total":1,"page":1}`, `{"items":[],"total":0,"page":1}`, "", "[a].id=a> [a].x=1>"},
		{"members that count", `{"items":[{"id":"a","x":1,"y":1}],"total":1}`, `{"items":[{"id":"a","x":2,"y":2}],"total":1}`, "x", "[a].x=1>2"},
		{"members within lists that count", `{"b":[{"id":"a","x":1,"y":1}],"z":1}`, `{"b":[{"id":"a","x":2,"y":2}],"z":2}`, "b.x", "b[a].x=1>2"},
		{"members that do not count", `{"version":1,"x":{"y":1}}`, `{"version":2,"x":{"y":2}}`, "-version", "x.y=1>2"},
		{"a secret", `{"password":"a","user":{"password":"x"}}`, `{"password":"b","user":{"password":"y"}}`, "", "password=(not kept)>(not kept) user.password=(not kept)>(not kept)"},
		{"whether there is a secret", `{"password":false}`, `{"password":true}`, "", "password=false>true"},
		{"an entry called like a secret", `{"s":[{"name":"password","n":1}]}`, `{"s":[{"name":"password","n":2}]}`, "", "s[password].n=1>2"},
		{"of a long list what differs", list(0, 30), list(1, 31), "", "l=e0>e30"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, left, err := change.Between([]byte(c.before), []byte(c.after), c.only, hide)
			if err != nil || left != 0 || line(got) != c.want {
				t.Errorf("%q (and %d, %v), want %q", line(got), left, err, c.want)
			}
		})
	}
}

func list(from, to int) string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprintf(`"e%d"`, i))
	}
	return `{"l":[` + strings.Join(all, ",") + `]}`
}

// However large the thing is, what is kept of its change is small.
func TestBetweenIsBounded(t *testing.T) {
	large := map[string]string{}
	for i := range 500 {
		large[fmt.Sprintf("f%03d", i)] = strings.Repeat("ä", 1000)
	}
	raw, err := json.Marshal(large)
	if err != nil {
		t.Fatal(err)
	}
	got, left, err := change.Between(nil, raw, "", nil)
	if err != nil || len(got) != change.MaxFields || left != 500-change.MaxFields {
		t.Errorf("%d fields and %d left, %v", len(got), left, err)
	}
	if !strings.HasSuffix(got[0].After, "ä… (cut)") || len(got[0].After) > change.MaxValue+20 {
		t.Errorf("a value is kept as %q", got[0].After)
	}
	deep := strings.Repeat(`{"a":`, 2000) + "1" + strings.Repeat("}", 2000)
	if got, _, err := change.Between(nil, []byte(deep), "", nil); err != nil || len(got) != 0 {
		t.Errorf("of what is nested 2,000 deep: %v, %v", got, err)
	}
	if _, _, err := change.Between([]byte(`{`), nil, "", nil); err == nil {
		t.Error("half a document was taken")
	}
}

// Whatever two documents are, their difference names a field exactly when they are not the same, and none of a document to itself.
func TestDifferenceOfAny(t *testing.T) {
	plain := rapid.SampledFrom([]any{"a", "b", 1, 2, true, []string{"x", "y"}, []string{"y"}})
	object := rapid.MapOfN(rapid.StringMatching(`[a-c]`), plain, 0, 3)
	rapid.Check(t, func(t *rapid.T) {
		before, after := object.Draw(t, "before"), object.Draw(t, "after")
		one, _ := json.Marshal(before)
		two, _ := json.Marshal(after)
		got, left, err := change.Between(one, two, "", nil)
		if err != nil || left != 0 || (len(got) == 0) != (string(one) == string(two)) {
			t.Fatalf("%s and %s differ in %v, %v", one, two, got, err)
		}
		if same, _, _ := change.Between(two, two, "", nil); same != nil {
			t.Fatalf("%s differs from itself in %v", two, same)
		}
	})
}
