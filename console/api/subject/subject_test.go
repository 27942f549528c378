package subject_test

import (
	"testing"

	"thatch/console/api/subject"
)

func TestSubject(t *testing.T) {
	in := func(members map[string]any) subject.Look { return func(name string) any { return members[name] } }
	path := in(map[string]any{"operator": "ada", "id": ""})
	body := in(map[string]any{"name": "ben", "bulletins": []any{"KB1", "ms/KB2", 7}})
	for _, c := range []struct {
		alters, before, answer string
		asked, after, query    string
		known                  bool
	}{
		{"/operators/{operator}", `{"id":"u1"}`, ``, "/operators/u1", "/operators/u1", "", true},
		{"/operators/{name}#scope", ``, `{"id":"u2","name":"ben"}`, "/operators/ben", "/operators/u2", "", true},
		{"/policies/{id}", ``, `{"id":"site/7"}`, "/policies", "/policies/site%2F7", "", true},
		{"/policies/{id}", ``, `null`, "/policies", "/policies", "", false},
		{"/policies/{id}", ``, `{"id":7}`, "/policies", "/policies", "", false},
		{"/tokens/api?id={id}", `{"items":[]}`, `{"id":"t1"}`, "/tokens/api", "/tokens/api", "id=t1", true},
		{"/staging?bulletin={bulletins}", ``, ``, "/staging", "/staging", "bulletin=KB1&bulletin=ms%2FKB2", true},
		{"/alarms/one?kind={kind}", ``, ``, "/alarms/one", "/alarms/one", "", true},
		{"/parent", `{"id":"p"}`, `[1]`, "/parent", "/parent", "", true},
	} {
		of := subject.Of(c.alters, func(name string) bool { return name == "kind" }, path, body)[0].Called([]byte(c.before))
		if got := of.Path(); got != c.asked {
			t.Errorf("%s is asked for as %s, want %s", c.alters, got, c.asked)
		}
		of = of.With([]byte(c.answer)).Called([]byte(c.answer))
		_, query, ok := of.Resolve()
		if of.Path() != c.after || query.Encode() != c.query || ok != c.known {
			t.Errorf("%s after %s: %s?%s, known: %t", c.alters, c.answer, of.Path(), query.Encode(), ok)
		}
	}
	two := subject.Of("/tokens/api?id={id} /tokens/enrolment?id={id}#name,uses", func(string) bool { return false })
	if len(two) != 2 || two[1].Path() != "/tokens/enrolment" || two[1].Kind() != "tokens" || two[0].Only != "name,uses" {
		t.Errorf("%+v", two)
	}
}
