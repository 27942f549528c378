package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// A register is a setting of the site that holds a number: it can be set, set only from a version, and read.
type register struct {
	Value   int `json:"value"`
	Version int `json:"version"`
}

// input is what was asked of a register.
type input struct {
	name  string
	kind  string // set, swap, read
	from  int    // version that a swap was made from
	value int
}

// output is what came of it. Of what is not known, nothing is claimed: it may have happened then, at any time later, or not.
type output struct {
	known    bool
	conflict bool
	register
}

// registers is what histories are held against: each register alone, one operation after the other.
var registers = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byName := map[string][]porcupine.Operation{}
		for _, op := range history {
			name := op.Input.(input).name
			byName[name] = append(byName[name], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range byName {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return register{Value: math.MinInt} },
	Step: func(state, in, out any) (bool, any) { return step(state.(register), in.(input), out.(output)) },
	DescribeOperation: func(in, out any) string {
		return fmt.Sprintf("%+v -> %+v", in, out)
	},
}

func step(now register, in input, out output) (bool, register) {
	if in.kind == "read" {
		// What the register held before the first operation is learnt from the first reading.
		if now.Value == math.MinInt {
			return true, out.register
		}
		return out.register == now, now
	}
	if now.Value == math.MinInt {
		return false, now // every history begins with a reading
	}
	swapped := in.kind == "set" || in.from == now.Version
	next := now
	if swapped {
		next = register{Value: in.value, Version: now.Version + 1}
	}
	if !out.known {
		return true, next
	}
	if out.conflict { // another change came between: nothing was done
		return in.kind == "set" || !swapped, now
	}
	return swapped && out.register == next, next
}

// TestModelOfRegisters holds the model against histories whose verdict is plain.
func TestModelOfRegisters(t *testing.T) {
	first := porcupine.Operation{Input: input{name: "a", kind: "read"}, Output: output{known: true, register: register{1, 0}}, Call: 0, Return: 1}
	op := func(in input, out output, call, end int64) porcupine.Operation {
		in.name = "a"
		return porcupine.Operation{Input: in, Output: out, Call: call, Return: end}
	}
	done := func(value, version int) output { return output{known: true, register: register{value, version}} }
	for name, c := range map[string]struct {
		history []porcupine.Operation
		want    bool
	}{
		"read what was set":      {[]porcupine.Operation{first, op(input{kind: "set", value: 5}, done(5, 1), 2, 3), op(input{kind: "read"}, done(5, 1), 4, 5)}, true},
		"a lost write":           {[]porcupine.Operation{first, op(input{kind: "set", value: 5}, done(5, 1), 2, 3), op(input{kind: "read"}, done(1, 0), 4, 5)}, false},
		"applied twice":          {[]porcupine.Operation{first, op(input{kind: "set", value: 5}, done(5, 1), 2, 3), op(input{kind: "read"}, done(5, 2), 4, 5)}, false},
		"unknown, then seen":     {[]porcupine.Operation{first, op(input{kind: "set", value: 5}, output{}, 2, 99), op(input{kind: "read"}, done(5, 1), 4, 5)}, true},
		"unknown, never seen":    {[]porcupine.Operation{first, op(input{kind: "set", value: 5}, output{}, 2, 99), op(input{kind: "read"}, done(1, 0), 4, 5)}, true},
		"a conflict that is one": {[]porcupine.Operation{first, op(input{kind: "set", value: 5}, done(5, 1), 2, 3), op(input{kind: "swap", from: 0, value: 6}, output{known: true, conflict: true}, 4, 5)}, true},
		"both swaps win":         {[]porcupine.Operation{first, op(input{kind: "swap", from: 0, value: 5}, done(5, 1), 2, 4), op(input{kind: "swap", from: 0, value: 6}, done(6, 1), 2, 4)}, false},
		"a stale reading":        {[]porcupine.Operation{first, op(input{kind: "set", value: 5}, done(5, 1), 2, 3), op(input{kind: "set", value: 6}, done(6, 2), 4, 5), op(input{kind: "read"}, done(5, 1), 6, 7)}, false},
	} {
		if got := porcupine.CheckOperations(registers, c.history); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// door is the API of a node through the socket in its folder, which no network parts.
type door struct{ http *http.Client }

func newDoor(folder string) *door {
	return &door{http: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(folder, "admin.sock"))
	}}}}
}

// refusal is an answer that is not 2xx.
type refusal struct {
	Code string `json:"code"`
	Text string `json:"error"`
}

func (r *refusal) Error() string { return r.Code + ": " + r.Text }

// indexHeader says how far what was read or written goes.
const indexHeader = "X-Thatch-Index"

// ask makes one call that sees at least what was written up to an index, and returns the index of its answer.
func (d *door) ask(ctx context.Context, method, path string, after uint64, in, out any) (uint64, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return 0, err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://node/api/v1"+path, body)
	if err != nil {
		return 0, err
	}
	if after > 0 {
		r.Header.Set(indexHeader, strconv.FormatUint(after, 10))
	}
	answer, err := d.http.Do(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	index, _ := strconv.ParseUint(answer.Header.Get(indexHeader), 10, 64)
	if answer.StatusCode/100 != 2 {
		told := &refusal{}
		if json.NewDecoder(answer.Body).Decode(told) != nil {
			told.Code, told.Text = "unread", answer.Status
		}
		return index, told
	}
	if out == nil {
		_, err = io.Copy(io.Discard, answer.Body)
		return index, err
	}
	return index, json.NewDecoder(answer.Body).Decode(out)
}

// never says that a call surely had no effect: nobody took it.
func never(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
}

// code is that of a refusal, "" of anything else.
func code(err error) string {
	var told *refusal
	if errors.As(err, &told) {
		return told.Code
	}
	return ""
}

// history is what clients did and heard.
type history struct {
	began        time.Time
	mu           sync.Mutex
	operations   []porcupine.Operation
	acknowledged []string // names of tokens that were made
	unknown      int
	refused      map[string]int // by code
}

func (h *history) now() int64 { return time.Since(h.began).Nanoseconds() }

func (h *history) add(client int, in input, out output, call int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	end := h.now()
	if !out.known {
		end = math.MaxInt64
		h.unknown++
	}
	h.operations = append(h.operations, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: call, Return: end})
}
