package main

import (
	"regexp"
	"strconv"
	"testing"
)

// TestStartPreparesLittle: every command pays for what its packages prepare before main. What only few need is made when
// it is wanted. Bytes are counted, since time would depend on the machine.
func TestStartPreparesLittle(t *testing.T) {
	if testing.Short() {
		t.Skip("left out of the pass under the race detector, with which everything takes more")
	}
	const most, mostOfOne = 3 << 20, 512 << 10
	cmd := program("version")
	cmd.Env = append(cmd.Env, "GODEBUG=inittrace=1")
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	prepared := regexp.MustCompile(`init (\S+) @\S+ ms, \S+ ms clock, (\d+) bytes`).FindAllStringSubmatch(string(said), -1)
	if len(prepared) < 20 {
		t.Fatalf("the program told of %d packages: %.300s", len(prepared), said)
	}
	all := 0
	for _, one := range prepared {
		bytes, _ := strconv.Atoi(one[2])
		if all += bytes; bytes > mostOfOne {
			t.Errorf("package %s prepares %d bytes, at most %d are wanted", one[1], bytes, mostOfOne)
		}
	}
	if all > most {
		t.Errorf("the program prepares %d bytes at its start, at most %d are wanted", all, most)
	}
}
