package catalog

import (
	"bytes"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"thatch/catalog/rule"
)

// texts are of every sort that JSON treats in a way of its own.
var texts = rapid.OneOf(rapid.StringMatching(`[a-z0-9 ]{0,9}`), rapid.String(), rapid.SampledFrom([]string{
	"", `"`, `\`, `C:\Windows\x`, "\x00\x1f\n\t\r\b\f\x7f", "<a href='x'>&amp;</a>", "\u2028\u2029", "\xff\xfe", "ünïcödé \U0001F600",
}))

// filled makes a value of a type, of which every part may be empty.
func filled(t *rapid.T, into reflect.Value, depth int) {
	if rapid.IntRange(0, 2).Draw(t, "empty") == 0 && into.Kind() != reflect.Struct {
		return
	}
	switch into.Kind() {
	case reflect.String:
		into.SetString(texts.Draw(t, "text"))
	case reflect.Bool:
		into.SetBool(rapid.Bool().Draw(t, "flag"))
	case reflect.Int:
		into.SetInt(int64(rapid.Int().Draw(t, "number")))
	case reflect.Float64:
		into.SetFloat(rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, 7.5, 10, 0.1, 1e-6, 9e-7, 1e20, 1e21, -1})).Draw(t, "score"))
	case reflect.Struct:
		for i := range into.NumField() {
			filled(t, into.Field(i), depth)
		}
	case reflect.Slice:
		into.Set(reflect.MakeSlice(into.Type(), rapid.IntRange(0, 3).Draw(t, "length"), 3))
		for i := range into.Len() {
			filled(t, into.Index(i), depth+1)
		}
	case reflect.Map:
		into.Set(reflect.MakeMap(into.Type()))
		for range rapid.IntRange(0, 10).Draw(t, "pairs") {
			into.SetMapIndex(reflect.ValueOf(texts.Draw(t, "key")), reflect.ValueOf(texts.Draw(t, "value")))
		}
	case reflect.Pointer:
		if depth < 4 {
			into.Set(reflect.New(into.Type().Elem()))
			filled(t, into.Elem(), depth+1)
		}
	default:
		t.Fatalf("no values of %s", into.Type())
	}
}

func TestQuickEncodingIsThatOfJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b Bulletin
		filled(t, reflect.ValueOf(&b).Elem(), 0)
		var u Update
		filled(t, reflect.ValueOf(&u).Elem(), 0)
		for _, body := range []any{b, u} {
			got, err := Encode(body)
			want, failed := encodeSlowly(body)
			if err != nil || failed != nil || !bytes.Equal(got, want) {
				t.Fatalf("%s, %v\nwant %s, %v", got, err, want, failed)
			}
		}
	})
}

// A field that is new is written, or the body is left to encoding/json.
func TestQuickEncodingKnowsEveryField(t *testing.T) {
	for _, body := range []any{Bulletin{}, Update{}} {
		of := reflect.TypeOf(body)
		for _, f := range reflect.VisibleFields(of) {
			if f.Anonymous {
				continue // its fields follow
			}
			value := reflect.New(of).Elem()
			field := value.FieldByIndex(f.Index)
			switch field.Kind() {
			case reflect.String:
				field.SetString("x")
			case reflect.Bool:
				field.SetBool(true)
			case reflect.Slice:
				field.Set(reflect.MakeSlice(field.Type(), 2, 2))
			case reflect.Pointer:
				field.Set(reflect.ValueOf(&rule.Rule{Op: "x", Rules: []*rule.Rule{nil}}))
			case reflect.Struct:
				field.Field(0).SetString("x")
			default:
				t.Fatalf("%s.%s is of a kind that this test does not know", of, f.Name)
			}
			got, err := Encode(value.Interface())
			want, failed := encodeSlowly(value.Interface())
			if err != nil || failed != nil || !bytes.Equal(got, want) {
				t.Errorf("%s.%s: %s, %v\nwant %s, %v", of, f.Name, got, err, want, failed)
			}
		}
	}
}

func TestWhatIsNoNumberIsNoBody(t *testing.T) {
	zero := 0.0
	if body, err := Encode(Bulletin{CVEs: []CVE{{Score: zero / zero}}}); err == nil {
		t.Errorf("%s", body)
	}
}

func BenchmarkEncodeUpdate(b *testing.B) {
	u := Update{
		Name: "KB4487017", Bulletin: "msrc/KB4487017", Source: "msrc", Vendor: "Microsoft", KB: "4487017", Nature: Nature{Class: "securityupdate"},
		Title: "Security Update for Windows 10 Version 1803 for x64-based Systems (KB4487017)", Severity: Critical,
		Product: Product{ID: "11568", Name: "Windows 10 Version 1803 for x64-based Systems", Family: "Windows"},
		CVEs:    []string{"CVE-2019-0540", "CVE-2019-0590", "CVE-2019-0591"}, Relations: Relations{Supersedes: []string{"msrc/KB4480966/11568"}},
		Rules: Rules{Applicable: rule.And(rule.Test(rule.WindowsBuild, "Comparison", "EqualTo", "Build", "17134"), rule.Test(rule.Architecture, "Is", "x64")), Installed: rule.Test(rule.Hotfix, "KB", "4487017", "Product", "11568")},
	}
	b.Run("quickly", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = encodeQuickly(u)
		}
	})
	b.Run("slowly", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = encodeSlowly(u)
		}
	})
}
