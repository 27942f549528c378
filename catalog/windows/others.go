package windows

import (
	"regexp"
	"strings"

	"thatch/catalog/rule"
)

// other is a product that is no part of Windows: the vendor's files give no fact that tells how new it is, but a
// registry key may tell that it is not there at all.
type other struct {
	name   *regexp.Regexp    // of the product, lower case
	keys   map[string]string // by what the name's last group holds; "" for any
	reason string            // why no more can be told
}

const (
	officeReason     = "Office patches are in no hotfix list, and the vendor's file names no patch code"
	sharepointReason = "SharePoint patches are in no hotfix list, and the vendor's file names no patch code"
	officeKey        = `SOFTWARE\Microsoft\Office\`
	extensionsKey    = `SOFTWARE\Microsoft\Shared Tools\Web Server Extensions\`
)

// others are tried in order. Setup writes these keys for every edition and language.
var others = []other{
	{regexp.MustCompile(`sharepoint.*?\b(2007|2010|2013|2016|2019|subscription edition)\b`), map[string]string{
		"2007": extensionsKey + "12.0", "2010": extensionsKey + "14.0", "2013": extensionsKey + "15.0",
		"2016": extensionsKey + "16.0", "2019": extensionsKey + "16.0", "subscription edition": extensionsKey + "16.0",
	}, sharepointReason},
	{regexp.MustCompile(`exchange server (2010|2013|2016|2019|subscription edition)`), map[string]string{
		"2010": `SOFTWARE\Microsoft\ExchangeServer\v14`, "2013": `SOFTWARE\Microsoft\ExchangeServer\v15`, "2016": `SOFTWARE\Microsoft\ExchangeServer\v15`,
		"2019": `SOFTWARE\Microsoft\ExchangeServer\v15`, "subscription edition": `SOFTWARE\Microsoft\ExchangeServer\v15`,
	}, "Exchange Server is serviced by its own builds; the vendor's file does not say which file tells them"},
	{
		regexp.MustCompile(`^microsoft sql server \d{4}()`),
		map[string]string{"": `SOFTWARE\Microsoft\Microsoft SQL Server\Instance Names\SQL`},
		"SQL Server is serviced by instance and branch; the vendor's file does not say how an instance is found",
	},
	{regexp.MustCompile(`^microsoft silverlight \d()`), map[string]string{"": `SOFTWARE\Microsoft\Silverlight`}, "the vendor's file gives no version to tell Silverlight by"},
	{regexp.MustCompile(`^microsoft (?:office|word|excel|outlook|powerpoint|access|publisher|visio|project|onenote|infopath) (2007|2010|2013|2016)\b`), map[string]string{
		"2007": officeKey + `12.0\Common\InstallRoot`, "2010": officeKey + `14.0\Common\InstallRoot`,
		"2013": officeKey + `15.0\Common\InstallRoot`, "2016": officeKey + `16.0\Common\InstallRoot`,
	}, officeReason},
	{regexp.MustCompile(`\b(?:sharepoint|office web apps|office online)()`), nil, sharepointReason},
	{regexp.MustCompile(`\b(?:office|word|excel|outlook|powerpoint|access|publisher|visio|project|onenote|skype|lync)()\b`), nil, officeReason},
	{regexp.MustCompile(`\bvisual studio()\b`), nil, "Visual Studio is installed several times over; the vendor's file does not say how an installation is found"},
	{regexp.MustCompile(`\bdynamics()\b`), nil, "the vendor's file does not say how an installation of Dynamics is found"},
	{regexp.MustCompile(`\bon linux()\b`), nil, "it runs on Linux, where the vendor's file gives no fact to tell by"},
	{regexp.MustCompile(`^windows (?:\d|rt|vista|xp|server)()`), nil, "this release of Windows is not known to this version"},
}

// otherScope tells what is no part of a known Windows. Where a key tells that it is not there, the rule says so, and
// cannot tell on all other computers.
func otherScope(name string) Scope {
	lower := strings.ToLower(name)
	for _, o := range others {
		found := o.name.FindStringSubmatch(lower)
		if found == nil {
			continue
		}
		key := o.keys[found[len(found)-1]]
		if key == "" {
			return Scope{Reason: o.reason}
		}
		return Scope{Applicable: rule.And(rule.Test(rule.CannotTell, "Because", o.reason), rule.Or(
			rule.Test("RegKeyExists", "Key", "HKEY_LOCAL_MACHINE", "Subkey", key),
			rule.Test("RegKeyExists", "Key", "HKEY_LOCAL_MACHINE", "Subkey", key, "RegType32", "true")))}
	}
	return Scope{Reason: "no fact is known that tells whether this product is there and how new it is"}
}
