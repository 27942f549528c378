package facts

import (
	"strconv"
	"strings"
)

// parseAssignments reads the shell-like assignments of /etc/os-release and /etc/default/locale (os-release(5)): one
// NAME=value per line, values plain or in quotes. Lines that are none are left out.
func parseAssignments(text string) map[string]string {
	values := map[string]string{}
	for _, line := range strings.Split(text, "\n") {
		name, value, found := strings.Cut(strings.TrimSpace(line), "=")
		if !found || name == "" || strings.HasPrefix(name, "#") {
			continue
		}
		if len(value) >= 2 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
			double := value[0] == '"'
			value = value[1 : len(value)-1]
			if double {
				value = strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\$`, `$`, "\\`", "`").Replace(value)
			}
		}
		values[name] = value
	}
	return values
}

// versionNumbers reads "12" or "22.04" as two numbers.
func versionNumbers(text string) (major, minor int) {
	first, second, _ := strings.Cut(text, ".")
	major, _ = strconv.Atoi(first)
	minor, _ = strconv.Atoi(second)
	return major, minor
}

// localeTag turns a POSIX locale ("de_DE.UTF-8@euro") into a language tag ("de-de"), "" for C and POSIX.
func localeTag(locale string) string {
	locale, _, _ = strings.Cut(locale, ".")
	locale, _, _ = strings.Cut(locale, "@")
	if locale == "" || locale == "C" || locale == "POSIX" {
		return ""
	}
	return strings.ToLower(strings.ReplaceAll(locale, "_", "-"))
}
