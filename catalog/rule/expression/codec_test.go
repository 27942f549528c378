package expression

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawNode draws any tree that a decoder may meet, known operators and others.
func drawNode(depth int) *rapid.Generator[*Node] {
	return rapid.Custom(func(rt *rapid.T) *Node {
		r := &Node{Op: rapid.OneOf(rapid.SampledFrom(Operators()), rapid.StringN(1, 8, 20)).Draw(rt, "op")}
		if with := rapid.MapOfN(rapid.String(), rapid.String(), 0, 3).Draw(rt, "with"); len(with) > 0 {
			r.With = with
		}
		if depth > 0 {
			if rules := rapid.SliceOfN(drawNode(depth-1), 0, 3).Draw(rt, "rules"); len(rules) > 0 {
				r.Rules = rules
			}
		}
		return r
	})
}

func TestRoundTripKeepsTreeAndBytes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := drawNode(3).Draw(rt, "rule")
		first, err := Encode(r)
		if err != nil {
			rt.Fatal(err)
		}
		back, err := Decode(first)
		if err != nil {
			rt.Fatal(err)
		}
		if !reflect.DeepEqual(r, back) {
			rt.Fatalf("%s came back as %+v", first, back)
		}
		if second, _ := Encode(back); !bytes.Equal(first, second) {
			rt.Fatalf("bytes change: %s, %s", first, second)
		}
	})
}

// slowly decodes without the short cut.
func slowly(data []byte) (*Node, error) {
	var tree plain
	if err := json.Unmarshal(data, &tree); err != nil {
		return nil, err
	}
	nodes := 0
	return tree.node(1, &nodes)
}

func TestCanonicalFormIsReadAlike(t *testing.T) {
	taken := 0
	rapid.Check(t, func(rt *rapid.T) {
		text, err := Encode(drawNode(3).Draw(rt, "rule"))
		if err != nil {
			rt.Fatal(err)
		}
		fast := canonical{text: string(text)}
		got := fast.parse()
		if got == nil {
			return // an escape that rules do not have in practice
		}
		taken++
		if want, err := slowly(text); err != nil || !reflect.DeepEqual(got, want) {
			rt.Fatalf("%s: %+v, %v", text, got, err)
		}
	})
	if taken == 0 {
		t.Error("the short cut was never taken")
	}
	plainText := And(Test("RegSz", "Subkey", `SOFTWARE\Bäcker "GmbH"`, "Data", "a<b>&c/d\x1f", "Value", ""), Not(Test("True")))
	for _, html := range []bool{false, true} {
		text, err := Encode(plainText)
		if html {
			text, err = json.Marshal(plainText)
		}
		fast := canonical{text: string(text)}
		if got := fast.parse(); err != nil || !reflect.DeepEqual(got, plainText) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

// What is not of the canonical form is left to encoding/json, even where that takes it.
func TestCanonicalFormIsAllThatIsTaken(t *testing.T) {
	for _, text := range []string{
		``, `{}`, `{"op":""}`, `{"op":"True" }`, ` {"op":"True"}`, `{"op":"True"}x`, `{"op":"True","op":"False"}`, `{"op":"True","with":{}}`, `{"op":"True","rules":[]}`,
		`{"op":"True","rules":[],"with":{"a":"b"}}`, `{"op":"True","with":{"a":"b","a":"c"}}`, `{"op":"True","with":{"a":1}}`, `{"op":"True","with":{"a":"b"`, `{"op":"True","with":{"a":"b",}}`,
		`{"op":"And","rules":[{"op":"True"},null]}`, `{"op":"And","rules":[{"op":"True"}`, `{"op":"And","rules":[{"op":"True"};]}`, `{"op":"True","later":1}`, `{"op":"a\n"}`, `{"op":"\u00e9"}`,
		`{"op":"\u12"}`, `{"op":"\`, `{"op":"\"`, `{"op":"\q"}`, "{\"op\":\"\xff\"}", "{\"op\":\"a\nb\"}", "{\"op\":\"\\\\a\nb\"}", `{"Op":"True"}`, nested(MaxDepth + 1),
	} {
		fast := canonical{text: text}
		if n := fast.parse(); n != nil {
			t.Errorf("%q was taken: %+v", text, n)
		}
	}
	fast := canonical{text: nested(MaxDepth)}
	if fast.parse() == nil {
		t.Error("the deepest tree was not taken")
	}
}

func TestEncodingIsStable(t *testing.T) {
	r := And(Test("RegSz", "Value", "a<b&c>", "Key", "HKEY_LOCAL_MACHINE"), Not(&Node{Op: "True", With: map[string]string{}, Rules: []*Node{}}))
	const want = `{"op":"And","rules":[{"op":"RegSz","with":{"Key":"HKEY_LOCAL_MACHINE","Value":"a<b&c>"}},{"op":"Not","rules":[{"op":"True"}]}]}`
	if got, err := Encode(r); err != nil || string(got) != want {
		t.Fatalf("got %s, %v", got, err)
	}
	// As part of a larger value it is written by encoding/json itself: the bytes must not depend on how.
	whole, err := json.Marshal(struct{ R *Node }{Test("True", "a", "b")})
	if err != nil || string(whole) != `{"R":{"op":"True","with":{"a":"b"}}}` {
		t.Fatalf("got %s, %v", whole, err)
	}
}

func TestDecodeIgnoresKeysOfLaterVersions(t *testing.T) {
	r, err := Decode([]byte(`{"op":"Oracle","weight":3,"with":{"Of":"Delphi"},"rules":[{"op":"True","since":[1,2]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := (&Node{Op: "Oracle", With: map[string]string{"Of": "Delphi"}, Rules: []*Node{{Op: "True"}}}); !reflect.DeepEqual(r, want) {
		t.Fatalf("got %+v", r)
	}
}

func nested(levels int) string {
	return strings.Repeat(`{"op":"Not","rules":[`, levels-1) + `{"op":"True"}` + strings.Repeat(`]}`, levels-1)
}

func TestDecodeRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"nothing":       {"", "unexpected end"},
		"null":          {"null", "names no operator"},
		"a text":        {`"True"`, "cannot unmarshal"},
		"no operator":   {`{"rules":[]}`, "names no operator"},
		"null inside":   {`{"op":"And","rules":[{"op":"True"},null]}`, "a node is null"},
		"a number":      {`{"op":"True","with":{"n":1}}`, "cannot unmarshal number"},
		"cut":           {`{"op":"And","rules":[{"op":"Tr`, "unexpected end"},
		"too deep":      {nested(MaxDepth + 1), "deeper than 64 levels"},
		"far too deep":  {nested(20_000), "exceeded max depth"},
		"too many":      {`{"op":"And","rules":[` + strings.Repeat(`{"op":"True"},`, MaxNodes) + `{"op":"True"}]}`, "more than 20000 nodes"},
		"something off": {`{"op":"True"} {}`, "after top-level value"},
	} {
		t.Run(name, func(t *testing.T) {
			if r, err := Decode([]byte(c.text)); err == nil || r != nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, wanted %q", err, c.want)
			}
		})
	}
	for _, text := range []string{nested(MaxDepth), `{"op":"And","rules":[` + strings.Repeat(`{"op":"True"},`, MaxNodes-2) + `{"op":"True"}]}`} {
		if _, err := Decode([]byte(text)); err != nil {
			t.Errorf("at the limit: %v", err)
		}
	}
	var whole struct {
		Name string
		R    *Node
	}
	if err := json.Unmarshal([]byte(fmt.Sprintf(`{"R":%s,"Name":"n"}`, nested(MaxDepth+1))), &whole); err == nil {
		t.Error("a rule inside of a larger value has no limits")
	}
	if err := json.Unmarshal([]byte(`{"R":null,"Name":"n"}`), &whole); err != nil || whole.R != nil {
		t.Error("no rule is not a rule:", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"op":"True"}`, `{"op":"And","with":{"a":"b"},"rules":[{"op":"Not","rules":[{"op":"False"}]}]}`, `{"op":"RegSz","with":{"Key":"HKEY_LOOP_TARGET","Subkey":"\\"}}`, "null", nested(70)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Decode(data)
		if err != nil {
			return
		}
		if want, err := slowly(data); err != nil || !reflect.DeepEqual(r, want) {
			t.Fatalf("%q: %+v, slowly %+v %v", data, r, want, err)
		}
		first, err := Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(first)
		if err != nil {
			t.Fatalf("%s cannot be read again: %v", first, err)
		}
		if second, _ := Encode(back); !bytes.Equal(first, second) {
			t.Fatalf("bytes change: %s, %s", first, second)
		}
		for _, problem := range Check(r) {
			if problem.Text == "" || !strings.HasPrefix(problem.Path, r.Op) {
				t.Fatalf("%s: problem %+v", first, problem)
			}
		}
		Walk(r, func(node *Node) { Of(node.Op) })
	})
}
