package settings

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"thatch/schedule"
)

// What downloads from vendors go through.
var (
	Proxy = define(Setting[string]{
		Name: "downloads.proxy", Text: "URL of the proxy for downloads from vendors; empty: that of the node's environment",
		check: checkProxy,
	})
	NoProxy = define(Setting[[]string]{Name: "downloads.no_proxy", Default: []string{}, Text: "hosts and domains that are asked without the proxy"})
	// Authorities is PEM text.
	Authorities = define(Setting[string]{
		Name: "downloads.authorities", Text: "more authorities trusted for downloads, certificates in PEM",
		check: checkPEM,
	})
	DownloadRate = define(Setting[int64]{Name: "downloads.rate", Text: "most bytes per second of all downloads; 0: no limit", check: atLeast[int64](0)})
	PayloadSize  = define(Setting[int64]{Name: "downloads.payload_size", Default: 16 << 30, Text: "largest payload, in bytes; in force from the next start of a node", check: atLeast[int64](1)})
)

// What is taken from catalogs, and what of it is trusted.
var (
	ExcludedFamilies = define(Setting[[]string]{
		Name: "catalog.excluded_families", Default: []string{"Mariner", "Azure Linux"},
		Text: "product families that imports leave out",
	})
	// PayloadSource is one of staging.FromParent, FromVendor and FromParentThenVendor.
	PayloadSource = define(Setting[string]{
		Name: "staging.source", Default: "parent",
		Text:    "where a site with a parent gets payloads of the parent's documents: parent, vendor, parent-then-vendor",
		Choices: payloadSources, check: oneOf(payloadSources...),
	})
	// Copies is about the nodes of a site that vote; see node/copies.
	Copies = define(Setting[int]{
		Name: "payloads.copies", Text: "copies of each payload among the nodes that vote; 0: all of them hold all. Nodes without a vote hold all in any case",
		check: between(0, 16),
	})
	CheckSignatures = define(Setting[bool]{
		Name: "staging.check_signatures", Default: true,
		Text: "the Authenticode signature of MSI, EXE and CAB payloads is checked at staging",
	})
	// Trusted are SHA-256 fingerprints in hexadecimal.
	Trusted = define(Setting[[]string]{
		Name: "staging.trusted", Default: []string{}, Text: "SHA-256 fingerprints of certificates that payloads carry, signers' or authorities', that are trusted; with staging.roots empty too: whom the operating system trusts",
		check: checkFingerprints,
	})
	// Roots is PEM text.
	Roots = define(Setting[string]{
		Name: "staging.roots", Text: "root certificates that signers of payloads and of their time stamps are traced to, in PEM; with staging.trusted they stand in place of the operating system's",
		check: checkPEM,
	})
)

var payloadSources = []string{"parent", "vendor", "parent-then-vendor"}

// What agents do where a policy says nothing else.
var (
	CheckIn = define(Setting[int]{
		Name: "agents.check_in", Default: 15 * 60, Text: "seconds between two check-ins of an agent",
		check: between(10, 7*24*3600),
	})
	Scan = define(Setting[int]{
		Name: "agents.scan", Default: 4 * 3600, Text: "seconds between two scans of an agent",
		check: between(60, 31*24*3600),
	})
	InstallSchedule = define(Setting[string]{
		Name: "agents.install_schedule", Text: "when agents install, as a crontab line; empty: as soon as possible",
		check: checkSchedule,
	})
	Attempts = define(Setting[int]{Name: "agents.attempts", Default: 3, Text: "installs tried before Failed to Install", check: between(1, 100)})
	// RequireSigned is about the moment of use; CheckSignatures about staging.
	RequireSigned = define(Setting[bool]{
		Name: "agents.require_signed", Default: true,
		Text: "agents check the Authenticode signature of MSI, EXE and CAB payloads before they install them",
	})
)

// When children take over what their parent has, where a replication rule names one of the two.
var (
	DifferentialSchedule = define(Setting[string]{
		Name: "replication.differential", Default: "*/15 * * * *", Text: "the site's standard schedule of differential replication, as a crontab line",
		check: checkSomeSchedule,
	})
	CompleteSchedule = define(Setting[string]{
		Name: "replication.complete", Default: "0 3 * * 0", Text: "the site's standard schedule of complete replication, as a crontab line",
		check: checkSomeSchedule,
	})
)

// What other sites are told of this one.
var (
	HealthEvery = define(Setting[int]{
		Name: "health.every", Default: 60, Text: "seconds that must pass between two times at which this site tells those above how it fares",
		check: between(1, 24*3600),
	})
	HealthMachines = define(Setting[bool]{
		Name: "health.machines", Default: true,
		Text: "sites above are told digests of the computers' machine ids and hardware, so that a computer which moved to another site is counted once",
	})
	HealthComputers = define(Setting[bool]{
		Name: "health.computers", Default: false,
		Text: "sites above are told of each computer of this site: name, operating system, languages, group, agent, the day it was last heard of, and how many updates it lacks. This site alone decides that; the others are told sums in any case",
	})
	HealthSilent = define(Setting[int]{
		Name: "health.silent", Default: 24 * 3600, Text: "seconds after which a computer that was not heard of counts as not reporting",
		check: between(60, 366*24*3600),
	})
)

// What is kept of past days.
var (
	// KeepFiguresDays is about the figures of compliance; see node/past.
	KeepFiguresDays = define(Setting[int]{
		Name: "keep.figures_days", Default: 400, Text: "days for which the figures of compliance are kept, so that reports can be had as of a past day; 0: none are kept",
		check: between(0, 3660),
	})
	TimeZone = define(Setting[string]{
		Name: "site.time_zone", Text: "time zone in which the days of the site begin and end, such as Europe/Berlin; empty: UTC",
		check: checkZone,
	})
)

func checkZone(name string) error {
	if name == "Local" {
		return errors.New("the zone Local is another one on each node; want a name such as Europe/Berlin")
	}
	_, err := time.LoadLocation(name)
	return err
}

// Zone is the time zone of the site.
func Zone(values Values) *time.Location {
	if zone, err := time.LoadLocation(TimeZone.In(values)); err == nil {
		return zone
	}
	return time.UTC
}

// SilentSince is the time by which a computer had to be heard of so that it does not count as silent now.
func (r *Room) SilentSince(ctx context.Context, now time.Time) (time.Time, error) {
	values, err := r.All(ctx)
	return now.Add(-time.Duration(HealthSilent.In(values)) * time.Second), err
}

func checkSomeSchedule(text string) error {
	_, err := schedule.ParseRecurrence(text)
	return err
}

// What a node shows to whoever reaches it.
var (
	// OpenMetrics is about /metrics alone: /healthz and /readyz say nothing and are open to all.
	OpenMetrics = define(Setting[bool]{
		Name: "metrics.open", Default: false,
		Text: "/metrics answers whoever asks; otherwise it takes an API token of scope viewer, as a bearer token",
	})
)

func checkProxy(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5" {
		return errors.New("want http://, https:// or socks5://HOST:PORT")
	}
	return nil
}

func checkPEM(text string) error {
	rest := []byte(strings.TrimSpace(text))
	for number := 1; len(rest) > 0; number++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return fmt.Errorf("certificate %d is no PEM", number)
		}
		if block.Type != "CERTIFICATE" || len(block.Headers) > 0 { // others are passed over where they are used
			return fmt.Errorf("certificate %d is a PEM block %q with %d headers, want a plain CERTIFICATE", number, block.Type, len(block.Headers))
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("certificate %d: %w", number, err)
		}
	}
	return nil
}

func checkFingerprints(list []string) error {
	for _, text := range list {
		if raw, err := hex.DecodeString(text); err != nil || len(raw) != sha256.Size {
			return fmt.Errorf("%.80q is no SHA-256 in 64 hexadecimal digits", text)
		}
	}
	return nil
}

func checkSchedule(text string) error {
	if text == "" {
		return nil
	}
	_, err := schedule.ParseRecurrence(text)
	return err
}

func oneOf(values ...string) func(string) error {
	return func(text string) error {
		if !slices.Contains(values, text) {
			return fmt.Errorf("want one of %s", strings.Join(values, ", "))
		}
		return nil
	}
}

func atLeast[T int | int64](least T) func(T) error {
	return func(n T) error {
		if n < least {
			return fmt.Errorf("%d is less than %d", n, least)
		}
		return nil
	}
}

func between(least, most int) func(int) error {
	return func(n int) error {
		if n < least || n > most {
			return fmt.Errorf("%d is not between %d and %d", n, least, most)
		}
		return nil
	}
}
