package prompts_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"thatch/console/api"
	"thatch/console/api/apitest"
	"thatch/console/api/client"
	"thatch/console/api/prompts"
	"thatch/node"
	"thatch/node/computers"
	"thatch/node/identity"
	"thatch/node/nodetest"
	"thatch/node/store"
)

type site struct {
	*node.Node
	local *client.Client
}

func start(t *testing.T) *site {
	t.Helper()
	n := nodetest.New(t)
	nodetest.Run(t, n, map[string]http.Handler{"/": api.New(n, prompts.Routes(n)...)})
	s := &site{n, apitest.Local(t, n)}
	for i, group := range []string{"berlin", "berlin", "paris"} {
		name := fmt.Sprint("pc-", i+1)
		newcomer := computers.Newcomer{Name: name, MachineID: name, Hardware: name, Platform: "windows", Group: group}
		place, err := n.Computers.Place(t.Context(), newcomer)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.Computers.Enrol(t.Context(), newcomer, place, "serial "+name); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *site) token(t *testing.T, scope identity.Scope, part identity.Part) *client.Client {
	t.Helper()
	made, err := s.Identity.NewAPIToken(t.Context(), identity.APIToken{Name: "test", Scope: scope, Part: part, Expires: s.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return apitest.Remote(t, s.Node, made.Token)
}

func (s *site) list(t *testing.T, c *client.Client, query string) api.List[prompts.Row] {
	t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	var list api.List[prompts.Row]
	if err := c.Get(t.Context(), "/computer-prompts", values, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestAskListAndCancel(t *testing.T) {
	s, ctx := start(t), t.Context()
	var asked prompts.Asked
	if err := s.local.Post(ctx, "/computer-prompts", prompts.Ask{Kind: "scan", Wanted: prompts.Wanted{Group: "berlin"}}, &asked); err != nil || asked.Asked != 2 || asked.Unaware != 0 {
		t.Fatalf("%+v, %v", asked, err)
	}
	if err := s.local.Post(ctx, "/computer-prompts", prompts.Ask{Kind: "cycle", Hours: 2, Wanted: prompts.Wanted{Computers: []string{"PC-1", "pc-3"}}}, &asked); err != nil || asked.Asked != 2 {
		t.Fatalf("%+v, %v", asked, err)
	}
	if err := s.local.Post(ctx, "/computer-prompts", prompts.Ask{Kind: "scan", Wanted: prompts.Wanted{All: true}}, &asked); err != nil || asked.Asked != 0 || asked.Already != 3 {
		t.Fatalf("%+v, %v", asked, err)
	}
	list := s.list(t, s.local, "sort=computer")
	if list.Total != 3 || list.Items[0].Kind != "cycle" || list.Items[1].Kind != "scan" || list.Items[0].State != "asked" || list.Items[0].By == "" {
		t.Errorf("%+v", list)
	}
	if hours := list.Items[0].Expires.Sub(list.Items[0].Asked).Hours(); hours != 2 {
		t.Errorf("wanted for %v hours", hours)
	}
	var cancelled prompts.Cancelled
	if err := s.local.Post(ctx, "/computer-prompts/cancel", prompts.Wanted{Group: "berlin"}, &cancelled); err != nil || cancelled.Cancelled != 2 {
		t.Errorf("%+v, %v", cancelled, err)
	}
	if list := s.list(t, s.local, "state=asked"); list.Total != 1 || list.Items[0].Computer != "pc-3" {
		t.Errorf("%+v", list)
	}
	entries, _, err := s.Identity.Audit(ctx, store.Query{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, e := range entries {
		said = append(said, e.Action)
	}
	told := "[pc-1].cancelled_by: local; [pc-1].state: asked -> cancelled; [pc-2]" // with the times between
	var differences []string
	for _, e := range entries {
		var plain []string
		for _, change := range strings.Split(e.Difference.String(), "; ") {
			if !strings.Contains(change, ".cancelled: ") {
				plain = append(plain, change)
			}
		}
		differences = append(differences, strings.Join(plain, "; "))
	}
	if all := strings.Join(differences, "\n"); !strings.Contains(all, told) || !strings.Contains(all, "[pc-1].kind: scan -> cycle") || !strings.Contains(all, "[pc-3].kind: cycle") {
		t.Errorf("of prompts the audit log tells\n%s", all)
	}
	for _, want := range []string{"ask 2 computers for a scan", "ask 2 computers for a cycle", "ask 2 computers no more"} {
		if !strings.Contains(strings.Join(said, "\n"), want) {
			t.Errorf("the audit log lacks %q: %q", want, said)
		}
	}
}

func status(err error) int {
	var refused *client.Error
	if errors.As(err, &refused) {
		return refused.Status
	}
	return 0
}

func TestRefusals(t *testing.T) {
	s := start(t)
	operator, viewer := s.token(t, identity.Operate, identity.Part{}), s.token(t, identity.Viewer, identity.Part{})
	limited := s.token(t, identity.Operate, identity.Part{Groups: []string{"paris"}})
	all, berlin, one := prompts.Wanted{All: true}, prompts.Wanted{Group: "berlin"}, prompts.Wanted{Computers: []string{"pc-1"}}
	for name, c := range map[string]struct {
		who    *client.Client
		in     prompts.Ask
		status int
	}{
		"a viewer asks":      {viewer, prompts.Ask{Kind: "scan", Wanted: all}, 403},
		"another group":      {limited, prompts.Ask{Kind: "scan", Wanted: berlin}, 403},
		"of another group":   {limited, prompts.Ask{Kind: "scan", Wanted: one}, 403},
		"nobody":             {operator, prompts.Ask{Kind: "scan"}, 400},
		"two ways":           {operator, prompts.Ask{Kind: "scan", Wanted: prompts.Wanted{All: true, Group: "berlin"}}, 400},
		"no such group":      {operator, prompts.Ask{Kind: "scan", Wanted: prompts.Wanted{Group: "rome"}}, 400},
		"no such computer":   {operator, prompts.Ask{Kind: "scan", Wanted: prompts.Wanted{Computers: []string{"pc-9"}}}, 404},
		"nothing to be done": {operator, prompts.Ask{Kind: "dance", Wanted: all}, 400},
		"for ever":           {operator, prompts.Ask{Kind: "scan", Hours: 10_000, Wanted: all}, 400},
		"too many names":     {operator, prompts.Ask{Kind: "scan", Wanted: prompts.Wanted{Computers: make([]string, 1001)}}, 400},
	} {
		err := c.who.Post(t.Context(), "/computer-prompts", c.in, nil)
		if got := status(err); got != c.status {
			t.Errorf("%s: %d, %v; want %d", name, got, err, c.status)
		}
	}
	if err := viewer.Post(t.Context(), "/computer-prompts/cancel", all, nil); status(err) != 403 {
		t.Errorf("a viewer cancels: %v", err)
	}
	if list := s.list(t, viewer, ""); list.Total != 0 {
		t.Errorf("after refusals: %+v", list)
	}
	// All is all in one's part.
	var asked prompts.Asked
	if err := limited.Post(t.Context(), "/computer-prompts", prompts.Ask{Kind: "scan", Wanted: all}, &asked); err != nil || asked.Asked != 1 {
		t.Errorf("%+v, %v", asked, err)
	}
	if err := operator.Post(t.Context(), "/computer-prompts", prompts.Ask{Kind: "scan", Wanted: berlin}, nil); err != nil {
		t.Error(err)
	}
	if list := s.list(t, limited, ""); list.Total != 1 || list.Items[0].Group != "paris" {
		t.Errorf("who is limited sees %+v", list)
	}
	var cancelled prompts.Cancelled
	if err := limited.Post(t.Context(), "/computer-prompts/cancel", all, &cancelled); err != nil || cancelled.Cancelled != 1 {
		t.Errorf("%+v, %v", cancelled, err)
	}
	if list := s.list(t, viewer, "state=asked"); list.Total != 2 {
		t.Errorf("who is limited cancelled what is not theirs: %+v", list)
	}
}
