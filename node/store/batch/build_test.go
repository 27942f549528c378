package batch_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"thatch/node/store/batch"
)

func TestBuilderTearsNoGroupAndLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := batch.Batch{Actor: "a", Reason: "r", Topics: []string{"x", "y"}}
		if rapid.Bool().Draw(t, "asked") {
			model.Request = "q"
		}
		builder := batch.NewBuilder(model)
		var want []string
		var batches []batch.Batch
		for g := range rapid.IntRange(0, 40).Draw(t, "groups") {
			var group []batch.Statement
			var names []string
			for i := range rapid.IntRange(0, 4).Draw(t, "size") {
				name := fmt.Sprintf("%d.%d", g, i)
				group = append(group, set(name, strings.Repeat("x", rapid.IntRange(0, 100_000).Draw(t, "bytes"))))
				names = append(names, name)
			}
			if err := builder.Add(group...); err != nil {
				t.Fatal(err)
			}
			if len(names) > 0 {
				want = append(want, strings.Join(names, "+"))
			}
			if rapid.Bool().Draw(t, "take") {
				batches = append(batches, builder.Full()...)
			}
		}
		batches = append(batches, builder.Batches()...)
		if left := builder.Batches(); len(left) > 0 {
			t.Fatalf("%d batches are given twice", len(left))
		}
		var got []string
		requests := map[string]bool{}
		for i, b := range batches {
			wanted := model.Request
			if wanted != "" && i > 0 {
				wanted = fmt.Sprintf("%s/%d", wanted, i+1)
			}
			if b.Request != wanted {
				t.Fatalf("batch %d has request %q, want %q", i, b.Request, wanted)
			}
			if _, err := batch.Encode(b); err != nil {
				t.Fatal(err)
			}
			if b.Actor != "a" || b.Reason != "r" || len(b.Topics) != 2 || requests[b.Request] && b.Request != "" {
				t.Fatalf("batch %+v", b)
			}
			requests[b.Request] = true
			for i, s := range b.Statements {
				name := s.Args[0].(string)
				if i > 0 && s.Group == b.Statements[i-1].Group {
					got[len(got)-1] += "+" + name
				} else {
					got = append(got, name)
				}
			}
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Fatalf("groups %v, want %v", got, want)
		}
	})
}

func TestBuilderRefusesAGroupThatFitsNowhere(t *testing.T) {
	builder := batch.NewBuilder(batch.Batch{Reason: "r"})
	half := strings.Repeat("x", batch.MaxBatch/2)
	if err := builder.Add(set("a", half), set("b", half)); !errors.Is(err, batch.ErrTooLarge) {
		t.Fatalf("a group of two halves: %v", err)
	}
	for _, name := range []string{"a", "b", "c"} {
		if err := builder.Add(set(name, half)); err != nil {
			t.Fatal(err)
		}
	}
	batches := builder.Batches()
	if len(batches) != 3 {
		t.Errorf("three halves make %d batches", len(batches))
	}
}

// Texts that differ are all counted, texts that repeat once.
func TestBuilderCountsSQL(t *testing.T) {
	long := func(n int) batch.Statement {
		return batch.Statement{SQL: fmt.Sprintf("DELETE FROM x WHERE a = %d /* %s */", n, strings.Repeat("x", 50_000))}
	}
	var differ, same []batch.Statement
	for n := range 30 {
		differ, same = append(differ, long(n)), append(same, long(1))
	}
	builder := batch.NewBuilder(batch.Batch{})
	if err := builder.Add(differ...); !errors.Is(err, batch.ErrTooLarge) {
		t.Errorf("30 texts of 50,000 bytes: %v", err)
	}
	if err := builder.Add(same...); err != nil {
		t.Errorf("one text 30 times: %v", err)
	}
	for _, b := range builder.Batches() {
		if _, err := batch.Encode(b); err != nil {
			t.Error(err)
		}
	}
}
