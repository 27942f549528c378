package batch_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"thatch/node/store/batch"
)

func set(name, value string) batch.Statement {
	return batch.Statement{SQL: `INSERT INTO setting (name, value) VALUES (?, ?)`, Args: []any{name, value}}
}

func write(statements ...batch.Statement) batch.Batch {
	return batch.Batch{Actor: "test", Reason: "a test", At: time.Unix(1_700_000_000, 0), Statements: statements}
}

func anyValue(t *rapid.T) any {
	return rapid.OneOf(
		rapid.Just[any](nil), rapid.Just[any](batch.Index{}),
		rapid.Map(rapid.Bool(), func(v bool) any { return v }),
		rapid.Map(rapid.Int64(), func(v int64) any { return v }),
		rapid.Map(rapid.Float64(), func(v float64) any { return v }),
		rapid.Map(rapid.String(), func(v string) any { return v }),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(v []byte) any { return v }),
		rapid.Map(rapid.Int(), func(v int) any { return batch.Position(v) }),
	).Draw(t, "value")
}

func anyBatch(t *rapid.T) batch.Batch {
	b := batch.Batch{
		Actor: rapid.String().Draw(t, "actor"), Reason: rapid.String().Draw(t, "reason"),
		Request: rapid.String().Draw(t, "request"),
	}
	if rapid.Bool().Draw(t, "timed") {
		b.At = time.Unix(rapid.Int64Range(-1e9, 1e11).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanos")).UTC()
	}
	if n := rapid.IntRange(0, 3).Draw(t, "topics"); n > 0 {
		b.Topics = rapid.SliceOfN(rapid.String(), n, n).Draw(t, "topic")
	}
	group := 0
	for range rapid.IntRange(1, 20).Draw(t, "statements") {
		group += rapid.IntRange(0, 2).Draw(t, "group")
		table := rapid.SampledFrom([]string{"one", "two", "three"}).Draw(t, "table")
		s := batch.Statement{Group: group, Want: rapid.IntRange(-1, 5).Draw(t, "want")}
		for range rapid.IntRange(0, 4).Draw(t, "args") {
			s.Args = append(s.Args, anyValue(t))
		}
		s.SQL = "INSERT INTO " + table + " VALUES (" + strings.Join(strings.Split(strings.Repeat("?", len(s.Args)), ""), ", ") + ")"
		b.Statements = append(b.Statements, s)
	}
	return b
}

func TestEncodingKeepsEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := anyBatch(t)
		data, err := batch.Encode(b)
		if err != nil {
			t.Fatal(err)
		}
		back, err := batch.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(b, back) {
			t.Fatalf("encoded %#v\ndecoded %#v", b, back)
		}
		for cut := range data {
			if _, err := batch.Decode(data[:cut]); err == nil {
				t.Fatalf("decoded the first %d of %d bytes", cut, len(data))
			}
		}
	})
}

func TestEncodingIsAsWrittenDown(t *testing.T) {
	b := batch.Batch{
		Actor: "a", Reason: "bc", Request: "", At: time.Unix(1, 5), Topics: []string{"t"},
		Statements: []batch.Statement{
			{SQL: "DELETE FROM x", Want: -1},
			{SQL: "INSERT INTO x VALUES (?,?,?,?,?,?,?,?)", Group: 1, Want: 1, Args: []any{nil, true, false, 2, 1.5, "s", []byte{9}, batch.Position(-1)}},
			{SQL: "DELETE FROM x", Group: 2},
		},
	}
	// Written out by hand from the description of the encoding.
	want := "01" + "0161" + "026263" + "00" + "01" + "02" + "05" + "01" + "0174" +
		"02" + "0d" + hex.EncodeToString([]byte(b.Statements[0].SQL)) + "26" + hex.EncodeToString([]byte(b.Statements[1].SQL)) +
		"03" + "00010000" + "01020208" + "00" + "02" + "01" + "0304" + "043ff8000000000000" + "050173" + "060109" + "0801" + "00000400"
	data, err := batch.Encode(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(data); got != want {
		t.Errorf("encoded\n%s, want\n%s", got, want)
	}
}

func TestLimitsOfEncoding(t *testing.T) {
	big := func(n int) batch.Batch { return write(set("a", strings.Repeat("x", n))) }
	data, err := batch.Encode(big(batch.MaxBatch - 400))
	if err != nil {
		t.Fatal(err)
	}
	exact := batch.MaxBatch - 400 + batch.MaxBatch - len(data)
	if data, err = batch.Encode(big(exact)); err != nil || len(data) != batch.MaxBatch {
		t.Errorf("of exactly the largest size: %d bytes, %v", len(data), err)
	}
	if _, err := batch.Decode(data); err != nil {
		t.Error(err)
	}
	_, err = batch.Encode(big(exact + 1))
	if !errors.Is(err, batch.ErrTooLarge) || !strings.Contains(err.Error(), "1048577 bytes") {
		t.Errorf("one byte larger: %v", err)
	}
	if _, err := batch.Decode(append(data, 0)); !errors.Is(err, batch.ErrTooLarge) {
		t.Errorf("decoding one byte more: %v", err)
	}
	if _, err := batch.Encode(write(batch.Statement{SQL: "INSERT INTO x VALUES (?)", Args: []any{time.Now()}})); err == nil ||
		!strings.Contains(err.Error(), "time.Time") {
		t.Errorf("a time as argument: %v", err)
	}
}

func TestDecodingSaysWhatIsWrong(t *testing.T) {
	good, err := batch.Encode(write(set("a", "1")))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data []byte
		says string
	}{
		"nothing":       {nil, "cut short"},
		"newer":         {[]byte{2, 0}, "version 2"},
		"more":          {append(good[:len(good):len(good)], 1), "1 bytes after its end"},
		"huge count":    {[]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, "announced"},
		"endless":       {[]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "no number"},
		"no such text":  {[]byte{1, 0, 0, 0, 0, 0, 1, 1, 'x', 1, 1, 0, 0, 0}, "SQL text 1 of 1"},
		"unknown type":  {[]byte{1, 0, 0, 0, 0, 0, 1, 1, 'x', 1, 0, 0, 0, 1, 77}, "unknown type 77"},
		"nanoseconds":   {[]byte{1, 0, 0, 0, 1, 0, 0x80, 0x94, 0xeb, 0xdc, 3, 0, 0, 0}, "nanoseconds"},
		"short decimal": {[]byte{1, 0, 0, 0, 0, 0, 1, 1, 'x', 1, 0, 0, 0, 1, 4, 1, 2}, "cut short"},
	} {
		if _, err := batch.Decode(c.data); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, b := range []batch.Batch{
		write(set("a", "1")),
		write(set("a", "1"), batch.Statement{SQL: "DELETE FROM x WHERE a = ?", Args: []any{math.Inf(1)}, Group: 1, Want: 3}),
		write(batch.Statement{SQL: "INSERT INTO x VALUES (?, ?, ?, ?)", Args: []any{nil, []byte{1}, batch.Index{}, batch.Position(3)}}),
	} {
		data, err := batch.Encode(b)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := batch.Decode(data)
		if err != nil {
			return
		}
		again, err := batch.Encode(b)
		if err != nil {
			return // it decodes, but no proposer would have made it
		}
		back, err := batch.Decode(again)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(b) != fmt.Sprint(back) { // text, for NaN equals itself there
			t.Errorf("%v became %v", b, back)
		}
	})
}
