package install

import (
	"fmt"

	"thatch/catalog"
)

// Return codes of the Windows Installer that are the same everywhere (winerror.h).
const (
	codeCancelled       = 1602 // ERROR_INSTALL_USEREXIT
	CodeBusy            = 1618 // ERROR_INSTALL_ALREADY_RUNNING: another installation is under way
	codeRestarted       = 1641 // ERROR_SUCCESS_REBOOT_INITIATED
	codeRestartRequired = 3010 // ERROR_SUCCESS_REBOOT_REQUIRED
)

// Meaning is what a return code says.
type Meaning struct {
	Result  catalog.Result
	Restart bool
	Text    string
}

// Read says what a return code of an installer means: by the package's own list, else for the Windows Installer by
// its documented codes, else by the package's default. Codes are compared as 32 bits, because vendors write
// 0x80070643 both as 2147944003 and as -2147023293.
func Read(installer catalog.Installer, code int) Meaning {
	for _, known := range installer.Codes {
		if int32(known.Code) == int32(code) {
			return named(Meaning{Result: known.Result, Restart: known.Restart, Text: known.Text}, code)
		}
	}
	if installer.Type != catalog.EXE || installer.DefaultResult == "" {
		if meaning, ok := wellKnown(code); ok {
			return named(meaning, code)
		}
	}
	if installer.DefaultResult != "" {
		return named(Meaning{Result: installer.DefaultResult, Restart: installer.DefaultRestart}, code)
	}
	return named(Meaning{Result: catalog.Failed}, code)
}

func wellKnown(code int) (Meaning, bool) {
	switch code {
	case 0:
		return Meaning{Result: catalog.Succeeded}, true
	case codeRestartRequired:
		return Meaning{Result: catalog.Succeeded, Restart: true, Text: "a restart is required"}, true
	case codeRestarted:
		return Meaning{Result: catalog.Succeeded, Restart: true, Text: "the installer started a restart"}, true
	case codeCancelled:
		return Meaning{Result: catalog.Cancelled, Text: "somebody cancelled it"}, true
	case CodeBusy:
		return Meaning{Result: catalog.Failed, Text: "another installation is under way"}, true
	}
	return Meaning{}, false
}

func named(m Meaning, code int) Meaning {
	switch {
	case m.Result == catalog.Succeeded:
	case m.Text == "":
		m.Text = fmt.Sprintf("the installer returned %d (0x%08X)", int32(code), uint32(code))
	default:
		m.Text = fmt.Sprintf("the installer returned %d: %s", int32(code), m.Text)
	}
	return m
}
