package authenticode_test

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sassoftware/relic/v7/lib/pkcs7"

	"thatch/catalog/content/authenticode"
	"thatch/catalog/content/authenticode/authenticodetest"
)

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	if name == "small.exe" {
		return authenticodetest.Program("does nothing, and does it well")
	}
	file, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

var fixtures = []string{"small.exe", "small.msi", "small.cab"}

func verifier(t testing.TB, trust authenticode.Trust) *authenticode.Verifier {
	t.Helper()
	v, err := authenticode.New(trust, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func verify(v *authenticode.Verifier, file []byte, name string) error {
	_, err := v.Verify(bytes.NewReader(file), int64(len(file)), name)
	return err
}

func TestVerdicts(t *testing.T) {
	root, other := authenticodetest.Authority(t, "Root"), authenticodetest.Authority(t, "Other")
	vendor := authenticodetest.Signer(t, root, "Vendor")
	v := verifier(t, authenticode.Trust{Roots: root.PEM()})
	for _, name := range fixtures {
		t.Run(name, func(t *testing.T) {
			file := fixture(t, name)
			signed := vendor.Sign(t, file)
			signer, err := v.Verify(bytes.NewReader(signed), int64(len(signed)), name)
			if err != nil {
				t.Fatal(err)
			}
			if signer.Fingerprint != authenticode.Fingerprint(vendor.Cert) || !strings.Contains(signer.Subject, "CN=Vendor") {
				t.Errorf("signer %+v", signer)
			}
			for verdict, c := range map[string]struct {
				file []byte
				want error
			}{
				"unsigned":             {file, authenticode.ErrUnsigned},
				"of another authority": {authenticodetest.Signer(t, other, "Vendor").Sign(t, file), authenticode.ErrUntrusted},
				"self-signed":          {authenticodetest.Signer(t, nil, "Vendor").Sign(t, file), authenticode.ErrUntrusted},
				"for servers": {authenticodetest.Signer(t, root, "Server", func(c *x509.Certificate) {
					c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
				}).Sign(t, file), authenticode.ErrUntrusted},
				"expired": {authenticodetest.Signer(t, root, "Old", func(c *x509.Certificate) {
					c.NotAfter = time.Now().Add(-time.Minute)
				}).Sign(t, file), authenticode.ErrUntrusted},
				"cut at half":    {signed[:len(signed)/2], authenticode.ErrTampered},
				"header alone":   {signed[:40], authenticode.ErrTampered},
				"something else": {[]byte("#!/bin/sh\nrm -rf /\n"), authenticode.ErrTampered},
				"empty":          {nil, authenticode.ErrTampered},
			} {
				if err := verify(v, c.file, name); !errors.Is(err, c.want) {
					t.Errorf("%s: %v, want %v", verdict, err, c.want)
				}
			}
		})
	}
}

// Whatever byte of a signed file changes, the file is not good any more. What no signature covers is named here.
func TestEveryByteCounts(t *testing.T) {
	root := authenticodetest.Authority(t, "Root")
	vendor := authenticodetest.Signer(t, root, "Vendor")
	v := verifier(t, authenticode.Trust{Roots: root.PEM()})
	program, cabinet := vendor.Sign(t, fixture(t, "small.exe")), vendor.Sign(t, fixture(t, "small.cab"))
	signature := len(fixture(t, "small.exe"))
	for at := range signature {
		free := at >= 0x98 && at < 0x9c || at >= 0x58+144 && at < 0x58+152 // checksum; place of the signature
		changed := bytes.Clone(program)
		changed[at] ^= 0x10
		if err := verify(v, changed, "small.exe"); err == nil && !free {
			t.Errorf("program: byte %#x may change", at)
		}
	}
	end := int(binary.LittleEndian.Uint32(cabinet[8:]))
	for at := range end {
		changed := bytes.Clone(cabinet)
		changed[at] ^= 0x10
		// reserved, number within a set, and the signature's own place
		free := at >= 0x04 && at < 0x08 || at >= 0x22 && at < 0x24 || at >= 0x28 && at < 0x38
		if err := verify(v, changed, "small.cab"); err == nil && !free {
			t.Errorf("cabinet: byte %#x may change", at)
		}
	}
	installer := vendor.Sign(t, fixture(t, "small.msi"))
	at := bytes.Index(installer, []byte("MSCF")) // the embedded cabinet
	installer[at+60] ^= 1
	if err := verify(v, installer, "small.msi"); !errors.Is(err, authenticode.ErrTampered) {
		t.Errorf("installer package: %v", err)
	}
	if err := verify(v, append(bytes.Clone(program), "more"...), "small.exe"); err == nil {
		t.Error("program with something behind its signature is good")
	}
}

func TestPinned(t *testing.T) {
	root := authenticodetest.Authority(t, "Root")
	between := authenticodetest.Signer(t, root, "Between", func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage, c.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
	})
	vendor, self := authenticodetest.Signer(t, between, "Vendor"), authenticodetest.Signer(t, nil, "Self")
	file := fixture(t, "small.exe")
	print := authenticode.Fingerprint
	for name, c := range map[string]struct {
		signer *authenticodetest.Pair
		pins   []string
		good   bool
	}{
		"nobody":              {vendor, nil, false},
		"signer":              {vendor, []string{print(vendor.Cert)}, true},
		"authority":           {vendor, []string{strings.ToUpper(print(between.Cert))}, true},
		"self-signed":         {self, []string{print(self.Cert)}, true},
		"another":             {vendor, []string{print(self.Cert)}, false},
		"one of several":      {self, []string{print(vendor.Cert), print(self.Cert)}, true},
		"signer, with colons": {self, []string{colons(print(self.Cert))}, true},
	} {
		err := verify(verifier(t, authenticode.Trust{Fingerprints: c.pins}), c.signer.Sign(t, file), "small.exe")
		if (err == nil) != c.good || err != nil && !errors.Is(err, authenticode.ErrUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
	}
	server := authenticodetest.Signer(t, root, "Server", func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	err := verify(verifier(t, authenticode.Trust{Fingerprints: []string{print(server.Cert)}}), server.Sign(t, file), "a.exe")
	if !errors.Is(err, authenticode.ErrUntrusted) {
		t.Errorf("a pinned certificate that is for servers: %v", err)
	}
}

func colons(text string) string {
	var out []string
	for i := 0; i < len(text); i += 2 {
		out = append(out, text[i:i+2])
	}
	return strings.Join(out, ":")
}

func TestTimeStamp(t *testing.T) {
	root, stranger := authenticodetest.Authority(t, "Root"), authenticodetest.Authority(t, "Stranger")
	then := time.Now().Add(-20 * time.Minute)
	old := func(above *authenticodetest.Pair, at time.Time) *authenticodetest.Pair {
		pair := authenticodetest.Signer(t, root, "Old", func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(-10*time.Minute)
		})
		pair.Stamper = authenticodetest.NewClock(t, above, at)
		return pair
	}
	v := verifier(t, authenticode.Trust{Roots: root.PEM()})
	for _, name := range fixtures {
		file := fixture(t, name)
		if err := verify(v, old(root, then).Sign(t, file), name); err != nil {
			t.Errorf("%s: signed while the certificate was good: %v", name, err)
		}
		if err := verify(v, old(root, time.Now()).Sign(t, file), name); !errors.Is(err, authenticode.ErrUntrusted) {
			t.Errorf("%s: signed after it had expired: %v", name, err)
		}
		if err := verify(v, old(stranger, then).Sign(t, file), name); !errors.Is(err, authenticode.ErrUntrusted) {
			t.Errorf("%s: stamped by a stranger: %v", name, err)
		}
		fresh := authenticodetest.Signer(t, root, "Fresh")
		fresh.Stamper = authenticodetest.NewClock(t, stranger, then)
		if err := verify(v, fresh.Sign(t, file), name); err != nil {
			t.Errorf("%s: a stranger's stamp on a good signature: %v", name, err)
		}
	}
}

// A program can carry a second signature inside the first.
func TestNested(t *testing.T) {
	root := authenticodetest.Authority(t, "Root")
	inner, outer := authenticodetest.Signer(t, root, "Inner"), authenticodetest.Signer(t, nil, "Outer")
	v := verifier(t, authenticode.Trust{Roots: root.PEM()})
	file := fixture(t, "small.exe")
	nest := func(of []byte) []byte {
		signature := table(t, inner.Sign(t, of))
		return rewrite(t, outer.Sign(t, file), func(psd *pkcs7.ContentInfoSignedData) {
			oid := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 4, 1}
			if err := psd.Content.SignerInfos[0].UnauthenticatedAttributes.Add(oid, asn1.RawValue{FullBytes: signature}); err != nil {
				t.Fatal(err)
			}
			psd.Content.SignerInfos[0].RawContent = nil // else it is written as it was read
		})
	}
	if err := verify(v, nest(file), "a.exe"); err != nil {
		t.Errorf("good inside self-signed: %v", err)
	}
	if err := verify(v, nest(authenticodetest.Program("another")), "a.exe"); !errors.Is(err, authenticode.ErrTampered) {
		t.Errorf("of another program: %v", err)
	}
}

// table is the first signature of a program made by authenticodetest.
func table(t *testing.T, program []byte) []byte {
	t.Helper()
	at := binary.LittleEndian.Uint32(program[0x58+144:])
	var value asn1.RawValue
	if _, err := asn1.Unmarshal(program[at+8:], &value); err != nil {
		t.Fatal(err)
	}
	return value.FullBytes
}

func rewrite(t *testing.T, program []byte, change func(*pkcs7.ContentInfoSignedData)) []byte {
	t.Helper()
	psd, err := pkcs7.Unmarshal(table(t, program))
	if err != nil {
		t.Fatal(err)
	}
	change(psd)
	der, err := psd.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	der = append(der, make([]byte, (8-len(der)%8)%8)...)
	at := binary.LittleEndian.Uint32(program[0x58+144:])
	out := bytes.Clone(program[:at])
	out = binary.LittleEndian.AppendUint32(out, uint32(len(der)+8))
	out = append(binary.LittleEndian.AppendUint32(out, 0x00020200), der...)
	binary.LittleEndian.PutUint32(out[0x58+148:], uint32(len(der)+8))
	return out
}

func TestOtherFormats(t *testing.T) {
	v := verifier(t, authenticode.Trust{})
	for name, want := range map[string]error{
		"setup.zip": authenticode.ErrFormat, "setup": authenticode.ErrFormat, "setup.msu": authenticode.ErrFormat,
		"setup.exe": authenticode.ErrTampered, "SETUP.MSI": authenticode.ErrTampered, "a.cab": authenticode.ErrTampered,
		"patch.msp": authenticode.ErrTampered,
	} {
		if err := verify(v, []byte("PK\x03\x04 and so on"), name); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if err := verify(v, authenticodetest.Program("x"), "setup.msi"); !errors.Is(err, authenticode.ErrTampered) {
		t.Errorf("a program named as a package: %v", err)
	}
	if err := verify(v, fixture(t, "small.cab"), "update.msu"); !errors.Is(err, authenticode.ErrUnsigned) {
		t.Errorf("an unsigned .msu: %v", err)
	}
	if _, err := v.Verify(broken{}, 10, "x"); err == nil || errors.Is(err, authenticode.ErrFormat) {
		t.Errorf("a disk that cannot be read: %v", err)
	}
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, io.ErrClosedPipe }

func TestTrustList(t *testing.T) {
	for _, trust := range []authenticode.Trust{
		{Roots: "no PEM"}, {Fingerprints: []string{"abc"}}, {Fingerprints: []string{strings.Repeat("z", 64)}},
	} {
		if _, err := authenticode.New(trust, nil); err == nil {
			t.Errorf("%+v was taken", trust)
		}
	}
	if _, err := authenticode.New(authenticode.Trust{System: true}, nil); err != nil {
		t.Errorf("system roots: %v", err)
	}
}

// A site that names anybody trusts them alone; one that names nobody trusts whom the system trusts.
func TestTrustOfASite(t *testing.T) {
	root := authenticodetest.Authority(t, "Root")
	signer := authenticodetest.Signer(t, root, "Signer")
	file := signer.Sign(t, authenticodetest.Program("text"))
	stranger := authenticodetest.Authority(t, "Stranger")
	for name, c := range map[string]struct {
		trust authenticode.Trust
		want  error
	}{
		"nobody":           {authenticode.OfSite(nil, ""), authenticode.ErrUntrusted}, // the system does not know it
		"blank":            {authenticode.OfSite([]string{}, " \n"), authenticode.ErrUntrusted},
		"its root":         {authenticode.OfSite(nil, root.PEM()), nil},
		"roots":            {authenticode.OfSite(nil, stranger.PEM()+root.PEM()), nil},
		"its fingerprint":  {authenticode.OfSite([]string{authenticode.Fingerprint(signer.Cert)}, ""), nil},
		"either":           {authenticode.OfSite([]string{authenticode.Fingerprint(stranger.Cert)}, root.PEM()), nil},
		"another's root":   {authenticode.OfSite(nil, stranger.PEM()), authenticode.ErrUntrusted},
		"itself as a root": {authenticode.OfSite(nil, signer.PEM()), nil},
	} {
		if err := verify(verifier(t, c.trust), file, "a.exe"); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for _, c := range []struct {
		fingerprints []string
		roots        string
		system       bool
	}{{nil, "", true}, {nil, "\n", true}, {[]string{"x"}, "", false}, {nil, "x", false}} {
		if got := authenticode.OfSite(c.fingerprints, c.roots).System; got != c.system {
			t.Errorf("%v, %q: the system's roots count: %v", c.fingerprints, c.roots, got)
		}
	}
}

func TestVerifyFile(t *testing.T) {
	v := verifier(t, authenticode.Trust{})
	if _, err := v.VerifyFile(filepath.Join("testdata", "small.msi")); !errors.Is(err, authenticode.ErrUnsigned) {
		t.Error(err)
	}
	if _, err := v.VerifyFile("absent.msi"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// osslsigncode is another hand: what it signs is good here, and what it calls good too.
func TestAgainstOsslsigncode(t *testing.T) {
	tool, err := exec.LookPath("osslsigncode")
	if err != nil {
		t.Skip("osslsigncode is not installed: signing by another hand was not tried")
	}
	dir := t.TempDir()
	run := func(name string, args ...string) {
		t.Helper()
		command := exec.Command(name, args...)
		command.Dir = dir
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
	}
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed: no certificate for osslsigncode")
	}
	run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2",
		"-subj", "/CN=Other hand", "-addext", "extendedKeyUsage=codeSigning")
	root, err := os.ReadFile(filepath.Join(dir, "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	v := verifier(t, authenticode.Trust{Roots: string(root)})
	for _, name := range fixtures {
		if err := os.WriteFile(filepath.Join(dir, name), fixture(t, name), 0o600); err != nil {
			t.Fatal(err)
		}
		run(tool, "sign", "-h", "sha256", "-certs", "cert.pem", "-key", "key.pem", "-in", name, "-out", "signed-"+name)
		signed, err := os.ReadFile(filepath.Join(dir, "signed-"+name))
		if err != nil {
			t.Fatal(err)
		}
		if err := verify(v, signed, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		place := map[string]int{"small.exe": 0x210, "small.cab": 0x60, "small.msi": bytes.Index(signed, []byte("MSCF")) + 60}
		signed[place[name]] ^= 4
		if err := verify(v, signed, name); err == nil {
			t.Errorf("%s: good after a change", name)
		}
	}
}

func FuzzVerify(f *testing.F) {
	root := authenticodetest.Authority(f, "Root")
	vendor := authenticodetest.Signer(f, root, "Vendor")
	for _, name := range fixtures {
		f.Add(fixture(f, name))
		f.Add(vendor.Sign(f, fixture(f, name)))
	}
	v := verifier(f, authenticode.Trust{})
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, name := range []string{"a.exe", "a.msi", "a.cab", "a"} {
			if err := verify(v, file, name); err == nil {
				t.Error("nobody is trusted, and somebody was")
			}
		}
	})
}
