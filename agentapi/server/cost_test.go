package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"thatch/agentapi"
	"thatch/agentapi/server"
	"thatch/node/nodetest"
)

// TestCostOfWaiting measures what a node pays for an agent that waits, and for a call that finds nothing to do:
// THATCH_COST=1000 go test -run CostOfWaiting -v ./agentapi/server
func TestCostOfWaiting(t *testing.T) {
	agents, _ := strconv.Atoi(os.Getenv("THATCH_COST"))
	switch {
	case agents == 0:
		t.Skip("measures, where THATCH_COST says with how many agents")
	case os.Getenv("THATCH_COST_NODE") != "":
		costly(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestCostOfWaiting$")
	cmd.Env = append(os.Environ(), "THATCH_COST_NODE=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	ask := func() []string {
		fmt.Fprintln(in)
		for lines.Scan() {
			if rest, ok := strings.CutPrefix(lines.Text(), "cost "); ok {
				return strings.Fields(rest)
			}
		}
		t.Fatal("the node ended")
		return nil
	}
	told := ask()
	var fingerprint [16]byte
	raw, err := hex.DecodeString(told[2])
	if err != nil {
		t.Fatal(err)
	}
	copy(fingerprint[:], raw)
	dial := func(certificate *tls.Certificate) *agentapi.Client {
		c, err := agentapi.NewClient("https://"+told[0], agentapi.Trust{Fingerprint: fingerprint}, certificate)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	clients := make([]*agentapi.Client, agents)
	var working sync.WaitGroup
	places := make(chan struct{}, 16)
	for i := range agents {
		places <- struct{}{}
		working.Go(func() {
			defer func() { <-places }()
			key, csr := newKey(t)
			c := dial(nil)
			answer, err := c.Enrol(t.Context(), request(told[1], fmt.Sprint("pc", i), csr))
			c.Close()
			if err != nil {
				t.Error(err)
				return
			}
			clients[i] = dial(&tls.Certificate{Certificate: [][]byte{answer.Certificate}, PrivateKey: key})
		})
	}
	working.Wait()
	before := ask()
	ctx, stop := context.WithCancel(t.Context())
	for _, c := range clients {
		working.Go(func() {
			for ctx.Err() == nil {
				if _, err := c.Wait(ctx, agentapi.WaitRequest{Seconds: 600}); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	<-time.After(20 * time.Second) // all of them are held: a call is for 50 seconds
	after := ask()
	stop()
	working.Wait()
	const calls = 20_000
	cpu := ask()
	began := time.Now()
	for w := range 8 {
		working.Go(func() {
			for range calls / 8 {
				if _, err := clients[w].Wait(t.Context(), agentapi.WaitRequest{}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	working.Wait()
	took, cpu2 := time.Since(began), ask()
	number := func(fields []string, at int) int { n, _ := strconv.Atoi(fields[at]); return n }
	t.Logf("%d agents wait: heap and stacks %d bytes each, resident %d bytes each", agents, (number(after, 3)-number(before, 3))/agents, (number(after, 4)-number(before, 4))/agents)
	t.Logf("%d calls with nothing to do: %.0f a second, %d µs of processor time each at the node", calls, calls/took.Seconds(), (number(cpu2, 5)-number(cpu, 5))/calls)
	in.Close()
	_ = cmd.Wait()
}

// costly is the node: for each line that it reads it says what it has cost so far.
func costly(t *testing.T) {
	s := &site{Node: nodetest.New(t)}
	nodetest.Run(t, s.Node, map[string]http.Handler{"/agent/v1/": server.NewWith(s.Node, server.Limits{Waiting: 5000, Asking: 200, Arrive: 1 << 20})})
	s.token = s.newToken(t, 0)
	fingerprint := agentapi.Fingerprint(s.Identity.Authority())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		resident, ticks := 0, 0
		if raw, err := os.ReadFile("/proc/self/statm"); err == nil {
			resident, _ = strconv.Atoi(strings.Fields(string(raw))[1])
		}
		if raw, err := os.ReadFile("/proc/self/stat"); err == nil {
			fields := strings.Fields(string(raw))
			user, _ := strconv.Atoi(fields[13])
			system, _ := strconv.Atoi(fields[14])
			ticks = user + system
		}
		fmt.Println("cost", s.Address(), s.token, hex.EncodeToString(fingerprint[:]), m.HeapInuse+m.StackInuse, resident*os.Getpagesize(), ticks*10_000)
	}
}
