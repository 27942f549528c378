package computers

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"thatch/catalog/rule"
	"thatch/console/api/why"
	"thatch/console/page"
	"thatch/node/policies/ordering"
)

func because() *page.Page {
	return &page.Page{
		Path: "/computers/{id}/updates/{update}", Nav: "/computers", Title: "Why",
		Help: page.Help{
			Text:    "Why an update stands on a computer as it does. The computer's own agent judges the rules on everything that it finds there; this site was told its system and its hotfixes, and shows what follows from these. Below stand the policies that order the update, the windows, the content, and every attempt.",
			Command: []string{"thatch computers why COMPUTER UPDATE"},
		},
		Show: func(q *page.Request) (*page.View, error) {
			w, err := page.Get[*why.Why](q, page.To("computers", q.Var("id"), "updates", q.Var("update")))
			if err != nil {
				return nil, err
			}
			return &page.View{
				Template: "computers-why.html", Title: q.T("Why %s on %s", w.Update.Update, w.Computer.Computer), Data: explained{w, lines(q, w), q},
				Crumbs: []page.Link{{Text: q.T("Computers"), To: "/computers"}, {Text: w.Computer.Computer, To: page.To("computers", w.Computer.ID)}},
			}, nil
		},
	}
}

// explained is the page's data.
type explained struct {
	*why.Why
	Judged []judged
	q      *page.Request
}

// judged is a rule as it is shown.
type judged struct {
	Title  string
	Answer string
	Only   bool
	Lines  []line
}

// line is one node of a rule.
type line struct {
	Depth   int // of indentation, 0 to 8
	Answer  string
	Text    string
	Fact    string
	Because string
}

// Bounds of what is shown of a rule: the whole stands in the API's answer.
const (
	maxLines = 120
	maxDepth = 8
)

func lines(q *page.Request, w *why.Why) (all []judged) {
	titles := map[string]string{
		"installed": q.T("Is it installed?"), "applicable": q.T("Does it apply?"), "superseded": q.T("Does something newer make it needless?"),
	}
	for _, r := range w.Rules {
		j := judged{Title: titles[r.Name], Answer: answer(r.Answer), Only: r.Only}
		j.add(q, r.Explanation, 0)
		all = append(all, j)
	}
	return all
}

func (j *judged) add(q *page.Request, x *rule.Explanation, depth int) {
	if len(j.Lines) == maxLines {
		j.Lines = append(j.Lines, line{Depth: 0, Text: q.T("The rule is longer: the command line shows all of it.")})
	}
	if len(j.Lines) > maxLines {
		return
	}
	l := line{Depth: min(depth, maxDepth), Answer: answer(x.Answer), Text: words(q, x), Fact: x.Fact}
	if len(x.Rules) == 0 {
		l.Because = strings.Join(x.Why, "; ")
	}
	j.Lines = append(j.Lines, l)
	for _, child := range x.Rules {
		j.add(q, child, depth+1)
	}
}

// answer is one of three, as a state.
func answer(a rule.Answer) string {
	return map[rule.Answer]string{rule.True: "true", rule.False: "false", rule.Unknown: "cannot tell"}[a]
}

// words says what a node of a rule asks.
func words(q *page.Request, x *rule.Explanation) string {
	with := x.With
	switch x.Op {
	case "And":
		return q.T("All of these")
	case "Or":
		return q.T("One of these")
	case "Not":
		return q.T("Not this")
	case rule.Prefer:
		return q.T("The first of these that can tell")
	case rule.Hotfix:
		return q.T("KB%s is installed, or one that replaces it", with["KB"])
	case rule.Architecture:
		return q.T("The architecture is %s", with["Is"])
	case rule.ProductType:
		return q.T("The kind of system is %s", with["Is"])
	case rule.Language:
		return q.T("The system speaks %s", with["Is"])
	case rule.InstallationType:
		return q.T("The kind of installation is %s", with["Is"])
	case rule.WindowsBuild:
		build := with["Build"]
		if with["Revision"] != "" {
			build += "." + with["Revision"]
		}
		return q.T("The build is %s %s", sign(with["Comparison"]), build)
	}
	parts := []string{x.Op}
	for _, name := range slices.Sorted(maps.Keys(with)) {
		parts = append(parts, fmt.Sprintf("%s=%s", name, with[name]))
	}
	return strings.Join(parts, " ")
}

func sign(comparison string) string {
	signs := map[string]string{"LessThan": "<", "LessThanOrEqualTo": "≤", "EqualTo": "=", "GreaterThanOrEqualTo": "≥", "GreaterThan": ">"}
	if s := signs[comparison]; s != "" {
		return s
	}
	return comparison
}

// Reason says for people what a policy waits for.
func (e explained) Reason(r ordering.Reason) string {
	switch r {
	case ordering.Off:
		return e.q.T("The policy is switched off.")
	case ordering.Paused:
		return e.q.T("The policy is paused, or its maintenance windows have not come from above.")
	case ordering.Excluded:
		return e.q.T("The policy leaves this update out.")
	case ordering.Awaited:
		return e.q.T("Not everything that the policy pins of it has come from above.")
	case ordering.NotTargeted:
		return e.q.T("The policy's target does not mean this computer.")
	case ordering.NotNeeded:
		return e.q.T("The computer has not said that it needs the update.")
	case ordering.NoPackage:
		return e.q.T("There is no package in a language of this computer, nor a neutral one.")
	case ordering.Content:
		return e.q.T("No node of this site holds the payload files yet.")
	case ordering.Turn:
		return e.q.T("As many computers as the policy allows at once are installing.")
	case ordering.Plan:
		return e.q.T("The policy's start is still to come.")
	case ordering.Window:
		return e.q.T("No maintenance window of the computer is open.")
	}
	return string(r)
}

// Conclusion says in a sentence when the update comes.
func (e explained) Conclusion() string {
	switch {
	case !e.Computer.Retired.IsZero():
		return e.q.T("The computer is retired: nothing is installed there any more.")
	case e.Update.Status == "Installed":
		return e.q.T("It is installed: there is nothing to do.")
	case e.Update.Status == "Not Applicable":
		return e.q.T("It does not apply to this computer: there is nothing to do.")
	case e.Update.Status == "Superseded":
		return e.q.T("Another update replaces it: there is nothing to do.")
	case len(e.Policies) == 0:
		return e.q.T("No policy orders it: stage its bulletin, and make a policy.")
	case e.Next.When != nil && e.Next.Agent:
		return e.q.T("The agent says when it begins:")
	case e.Next.When != nil && len(e.Next.Waits) == 0:
		return e.q.T("Nothing keeps it: the agent installs it when it next checks in.")
	case e.Next.When != nil:
		return e.q.T("It is installed at the first check-in from then on:")
	}
	return e.q.T("It is not installed as long as this is so:")
}

// Verdict is what the computer said, for people.
func (e explained) Verdict(verdict string) string {
	switch verdict {
	case why.Installed:
		return e.q.T("it is installed")
	case why.Applicable:
		return e.q.T("it applies and is not installed")
	case why.Unknown:
		return e.q.T("cannot tell")
	case why.NotApplicable:
		return e.q.T("it does not apply")
	case why.Unevaluated:
		return e.q.T("it has not evaluated it yet")
	}
	return e.q.T("nothing of it")
}

// Tone is the colour of an answer.
func (explained) Tone(answer string) string {
	return map[string]string{"true": "good", "cannot tell": "warn"}[answer]
}
