package api_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"thatch/console/api"
	"thatch/console/api/apitest"
	"thatch/console/api/client"
	"thatch/node/identity"
	"thatch/node/store"
)

// told is the newest entry of the audit log.
func told(t *testing.T, c *client.Client) identity.Entry {
	t.Helper()
	var list api.List[identity.Entry]
	if err := c.Get(t.Context(), "/audit", url.Values{"limit": {"1"}}, &list); err != nil || len(list.Items) == 0 {
		t.Fatalf("%+v, %v", list, err)
	}
	return list.Items[0]
}

// What stood there before a change and what stands there after are in the audit log, and no secret is.
func TestAuditTellsBeforeAndAfter(t *testing.T) {
	o := newOrdering(t)
	c := o.Client
	var severity struct{ ID string }
	var policy struct{ ID string }
	var window map[string]any
	var token identity.APIToken
	type fields = map[string]any
	for _, step := range []struct {
		call    string
		body    func() any
		out     any
		subject string
		want    string
	}{
		{"PUT /settings/agents.attempts", func() any { return fields{"value": 9} }, nil, "/settings/agents.attempts", "set: false -> true; value: 3 -> 9"},
		{"PUT /settings/agents.attempts", func() any { return fields{"value": nil} }, nil, "/settings/agents.attempts", "set: true -> false; value: 9 -> 3"},
		{"PUT /site/languages", func() any { return api.Languages{Languages: []string{"de", "en", "fr"}} }, nil, "/site/languages", "languages: de, en -> de, en, fr"},
		{"PUT /site/name", func() any { return fields{"name": "North"} }, nil, "/site", "site: Test -> North"},
		{"POST /severities", func() any { return fields{"name": "Ours"} }, &severity, "/severities", "[Ours].order: 10; [Ours].severity: Ours"},
		{"POST /bulletins/severity", func() any { return fields{"bulletins": []string{"KB1"}, "severity": "Ours"} }, nil, "/staging", "bulletins[KB1].custom_severity: Ours"},
		{"POST /policies", func() any { return fields{"name": "p", "bulletins": []string{"KB1"}} }, &policy, "/policies/$policy", "*policy: p"},
		{"PUT /policies/$policy", func() any { return fields{"description": "of the first floor"} }, nil, "/policies/$policy", "*description: of the first floor"},
		{"POST /policies/$policy/pause", func() any { return fields{} }, nil, "/policies/$policy", "paused: false -> true"},
		{"POST /windows", func() any {
			return fields{"name": "nights", "repeat": "daily", "start": "22:00", "minutes": 90}
		}, &window, "/windows/$window", "*minutes: 90"},
		{"PUT /windows/$window", func() any {
			return fields{"name": "nights", "repeat": "daily", "start": "23:00", "minutes": 90}
		}, nil, "/windows/$window", "*start: 22:00 -> 23:00"},
		{"POST /operators", func() any { return fields{"name": "Otto", "scope": "viewer"} }, nil, "", "*scope: viewer"},
		{"PUT /operators/otto", func() any { return fields{"name": "olga", "scope": "operator"} }, nil, "", "name: otto -> olga; scope: viewer -> operator"},
		{"POST /operators/olga/lock", nil, nil, "", "disabled: false -> true"},
		{"DELETE /operators/olga", nil, nil, "", "*name: olga -> (nothing)"},
		{"POST /tokens/api", func() any { return fields{"name": "tool", "scope": "viewer"} }, &token, "/tokens/api", "*name: tool"},
		{"DELETE /tokens/$token", nil, nil, "/tokens/api", "[tool].revoked: false -> true"},
		{"PUT /computers/$computer", func() any { return fields{"group": "paris"} }, nil, "", "group: berlin -> paris"},
		{"PUT /tasks/housekeeping", func() any { return fields{"schedule": "0 4 * * *", "enabled": true} }, nil, "/tasks", "*[housekeeping].schedule"},
		{"DELETE /windows/$window", nil, nil, "/windows/$window", "*minutes: 90 -> (nothing)"},
	} {
		known := strings.NewReplacer("$severity", severity.ID, "$policy", policy.ID, "$window", fmt.Sprint(window["id"]), "$token", token.ID, "$computer", o.computer)
		method, path, _ := strings.Cut(known.Replace(step.call), " ")
		q := client.Request{Method: method, Path: path}
		if step.body != nil {
			q.In = step.body()
		}
		if err := c.Do(t.Context(), q, step.out); err != nil {
			t.Fatalf("%s: %v", step.call, err)
		}
		known = strings.NewReplacer("$severity", severity.ID, "$policy", policy.ID, "$window", fmt.Sprint(window["id"]), "$token", token.ID, "$computer", o.computer)
		entry := told(t, c)
		got := entry.Difference.String()
		want, part := strings.CutPrefix(known.Replace(step.want), "*")
		if got != want && !(part && strings.Contains(got, want)) {
			t.Errorf("%s is told as %q, want %q", step.call, got, want)
		}
		if subject := known.Replace(step.subject); subject != "" && entry.Subject != subject {
			t.Errorf("%s is about %q, want %q", step.call, entry.Subject, subject)
		}
		if entry.Another {
			t.Errorf("%s: another change is told of", step.call)
		}
		if raw, err := json.Marshal(entry); err != nil || token.Token != "" && strings.Contains(string(raw), token.Token) {
			t.Errorf("%s: a secret stands in the audit log: %s, %v", step.call, raw, err)
		}
	}
}

// Many who change the same at once: what each of them changed begins where that of another ended.
func TestAuditOfManyAtOnce(t *testing.T) {
	_, c := apitest.Start(t)
	const many = 12
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			if err := c.Put(t.Context(), "/settings/agents.attempts", map[string]any{"value": 10 + i}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var list api.List[identity.Entry]
	if err := c.Get(t.Context(), "/audit", url.Values{"subject": {"/settings/agents.attempts"}}, &list); err != nil || list.Total != many {
		t.Fatalf("%d entries, %v", list.Total, err)
	}
	slices.Reverse(list.Items)
	stands := "3"
	for _, e := range list.Items {
		i := slices.IndexFunc(e.Changes, func(c identity.Change) bool { return c.Field == "value" })
		if i < 0 || e.Changes[i].Before != stands || e.Another {
			t.Fatalf("the change at %d begins with %+v, want %s", e.Index, e.Difference, stands)
		}
		stands = e.Changes[i].After
	}
}

// A request that is sent again changes nothing, and what the audit log tells of it stays.
func TestAuditOfARetry(t *testing.T) {
	_, c := apitest.Start(t)
	for range 2 {
		q := client.Request{Method: "PUT", Path: "/settings/agents.attempts", In: map[string]any{"value": 9}, ID: "once"}
		if err := c.Do(t.Context(), q, nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := told(t, c).Difference.String(); got != "set: false -> true; value: 3 -> 9" {
		t.Errorf("after a retry it is told as %q", got)
	}
}

// What another node changed in the same moment is told of.
func TestAuditOfARaceBetweenNodes(t *testing.T) {
	n, c := apitest.Start(t)
	since, err := n.Identity.LastAudited(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"operator ada", "operator ben"} {
		caller := &store.Caller{Actor: who, Subject: "/windows/w1"}
		if _, err := n.Settings.Set(store.WithCaller(t.Context(), caller), "agents.attempts", []byte(fmt.Sprint(len(who))), -1); err != nil {
			if _, err = n.Settings.Set(store.WithCaller(t.Context(), caller), "agents.attempts", []byte("7"), -1); err != nil {
				t.Fatal(err)
			}
		}
	}
	a := identity.Alteration{Actor: "operator ben", Asked: "/windows/w1", Subject: "/windows/w1", Since: since, Before: []byte(`{"a":1}`), After: []byte(`{"a":2}`)}
	if err := n.Identity.KeepDifference(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if e := told(t, c); e.Actor != "operator ben" || !e.Another || e.Difference.String() != "a: 1 -> 2" {
		t.Errorf("%+v", e)
	}
}
