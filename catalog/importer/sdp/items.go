package sdp

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"thatch/catalog"
	"thatch/catalog/importer/sdp/markup"
)

func itemID(pack, item string) string { return updateID(pack) + "/" + item }

// guid reads a GUID with or without braces, in any case, into lower case without.
func guid(text string) (string, bool) {
	text = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(text), "{"), "}")
	if len(text) != 36 {
		return "", false
	}
	id, err := uuid.Parse(text)
	return id.String(), err == nil
}

// item makes the package document of an InstallableItem; none where there is nothing to install, or no way to.
func (p *pack) item(e *markup.Element, where, id string, languages []string) bool {
	file := p.originFile(e.Kid("OriginFile"), where+"/OriginFile")
	install := p.installer(e, where)
	switch {
	case file == nil && install == nil && p.update.Detector:
		return false
	case file == nil:
		p.warn("origin-missing", where, "no OriginFile: there is nothing to stage; no package is made of the item")
		return false
	case install == nil:
		p.warn("installer-missing", where, "no installer that is known (command line, MSI, MSP); no package is made of the item")
		return false
	}
	install.File = p.program(install.File, file.Name, where)
	body := catalog.Package{
		Update: updateID(p.id), Name: file.Name, Files: []catalog.File{*file}, Installer: *install,
	}
	p.behaviour(e.Kid("InstallProperties"), where+"/InstallProperties", &body)
	body.Uninstall = p.uninstaller(e, install)
	p.packages = append(p.packages, packageDocument{id: itemID(p.id, id), languages: languages, body: body})
	return true
}

func (p *pack) behaviour(e *markup.Element, where string, body *catalog.Package) {
	if e == nil {
		body.Restart = catalog.RestartMaybe // the schema's default
		return
	}
	body.UserInput = flag(e, "CanRequestUserInput")
	body.Exclusive = e.Attr("Impact") == "RequiresExclusiveHandling"
	switch reboot := e.Attr("RebootBehavior"); reboot {
	case "NeverReboots":
		body.Restart = catalog.RestartNever
	case "AlwaysRequiresReboot":
		body.Restart = catalog.RestartAlways
	case "", "CanRequestReboot":
		body.Restart = catalog.RestartMaybe
	default:
		body.Restart = catalog.RestartMaybe
		p.warn("restart-unknown", where, fmt.Sprintf("RebootBehavior=%.60q is not known; taken as CanRequestReboot", reboot))
	}
}

func flag(e *markup.Element, name string) bool {
	value, err := strconv.ParseBool(e.Attr(name))
	return err == nil && value
}

// originFile reads the payload's name, size, digests and location.
func (p *pack) originFile(e *markup.Element, where string) *catalog.File {
	if e == nil {
		return nil
	}
	name := baseName(e.Attr("FileName"))
	switch {
	case name == "":
		p.warn("file-name", where, fmt.Sprintf("FileName=%.80q names no file; left out", e.Attr("FileName")))
		return nil
	case name != e.Attr("FileName"):
		p.warn("file-name", where, fmt.Sprintf("FileName=%.80q is taken as %.80q", e.Attr("FileName"), name))
	}
	file := &catalog.File{Name: name, URL: e.Attr("OriginUri")}
	if at, err := url.Parse(file.URL); err != nil || file.URL != "" && at.Scheme != "http" && at.Scheme != "https" {
		p.warn("origin-location", where, fmt.Sprintf("OriginUri=%.200q is no http or https address; it cannot be downloaded", file.URL))
	}
	if text, has := e.Lookup("Size"); has {
		size, err := strconv.ParseInt(text, 10, 64)
		if err != nil || size < 0 {
			p.warn("size-malformed", where, fmt.Sprintf("Size=%.40q is no size; taken as unknown", text))
			size = 0
		}
		file.Size = size
	}
	file.SHA1 = p.digest(e.Attr("Digest"), 20, where)
	for _, more := range e.All("AdditionalDigest") {
		if strings.EqualFold(strings.ReplaceAll(more.Attr("Algorithm"), "-", ""), "SHA256") {
			file.SHA256 = p.digest(more.Text, 32, where+"/AdditionalDigest")
		}
	}
	return file
}

// digest reads base64 (by the schema) or hexadecimal into hexadecimal.
func (p *pack) digest(text string, size int, where string) string {
	if text == "" {
		return ""
	}
	if raw, err := base64.StdEncoding.DecodeString(text); err == nil && len(raw) == size {
		return hex.EncodeToString(raw)
	}
	if raw, err := hex.DecodeString(text); err == nil && len(raw) == size {
		return hex.EncodeToString(raw)
	}
	p.warn("digest-malformed", where, fmt.Sprintf("digest %.80q is not %d bytes in base64; left out", text, size))
	return ""
}

// baseName is a file's own name, without folders of either system; "" for what can be none.
func baseName(text string) string {
	name := path.Base(strings.ReplaceAll(strings.TrimSpace(text), `\`, "/"))
	if name == "." || name == ".." || name == "/" || len(name) > 255 || strings.ContainsAny(name, ":*?\"<>|\x00\r\n\t") {
		return ""
	}
	return name
}

// program is the file that is run: the payload, whose name is taken as it is written there.
func (p *pack) program(text, payload, where string) string {
	name := strings.TrimPrefix(strings.ReplaceAll(text, `\`, "/"), "./")
	if name == "" || strings.EqualFold(name, payload) {
		return payload
	}
	p.warn("program-elsewhere", where, fmt.Sprintf("runs %.80q, which is not the payload %.80q", text, payload))
	return text
}

// installer reads how an item is installed; nil when it does not say, or in a way that is not known.
func (p *pack) installer(e *markup.Element, where string) *catalog.Installer {
	for _, kid := range e.Kids {
		at := where + "/" + kid.Name
		switch {
		case kid.Space == markup.CommandLine && kid.Name == "CommandLineInstallerData":
			return p.commandLine(kid, at)
		case kid.Space == markup.MSI && kid.Name == "MsiInstallerData":
			return &catalog.Installer{
				Type: catalog.MSI, File: kid.Attr("MsiFile"), Arguments: kid.Attr("CommandLine"),
				ProductCode: kid.Attr("ProductCode"), DefaultResult: catalog.Failed, Codes: installerCodes(),
			}
		case kid.Space == markup.MSP && kid.Name == "MspInstallerData":
			install := &catalog.Installer{
				Type: catalog.MSP, Arguments: kid.Attr("CommandLine"), PatchCode: kid.Attr("PatchCode"),
				DefaultResult: catalog.Failed, Codes: installerCodes(),
			}
			if install.PatchCode == "" {
				install.PatchCode = kid.Attr("FullFilePatchCode")
			}
			for _, name := range kid.Kids {
				if name.Name == "MspFileName" && name.Space == markup.MSP {
					install.File = name.Text
				}
			}
			return install
		case strings.HasSuffix(kid.Name, "InstallerData"):
			p.warn("installer-unknown", at, fmt.Sprintf("installer of namespace %.120q is not known", kid.Space))
		}
	}
	return nil
}

// installerCodes are those of the Windows Installer, whose elements name none.
func installerCodes() []catalog.ReturnCode {
	return []catalog.ReturnCode{
		{Code: 0, Result: catalog.Succeeded},
		{Code: 1641, Result: catalog.Succeeded, Restart: true},
		{Code: 3010, Result: catalog.Succeeded, Restart: true},
	}
}

func (p *pack) commandLine(e *markup.Element, where string) *catalog.Installer {
	install := &catalog.Installer{
		Type: catalog.EXE, File: e.Attr("Program"), Arguments: e.Attr("Arguments"),
		DefaultResult: p.result(e.Attr("DefaultResult"), where), DefaultRestart: flag(e, "RebootByDefault"),
	}
	seen := map[int]bool{}
	for _, kid := range e.Kids {
		if kid.Name != "ReturnCode" || kid.Space != markup.CommandLine {
			continue
		}
		code, err := strconv.ParseInt(kid.Attr("Code"), 10, 64)
		if err != nil {
			p.warn("code-malformed", where, fmt.Sprintf("ReturnCode Code=%.40q is no number; left out", kid.Attr("Code")))
			continue
		}
		if seen[int(code)] {
			p.warn("code-repeated", where, fmt.Sprintf("ReturnCode %d occurs twice; the first is taken", code))
			continue
		}
		seen[int(code)] = true
		one := catalog.ReturnCode{Code: int(code), Result: p.result(kid.Attr("Result"), where), Restart: flag(kid, "Reboot")}
		for _, text := range kid.Kids { // the first is in the default language
			if text.Name == "LocalizedDescription" && one.Text == "" {
				one.Text = describe(text)
			}
		}
		install.Codes = append(install.Codes, one)
	}
	return install
}

func describe(e *markup.Element) string {
	for _, kid := range e.Kids {
		if kid.Name == "Description" {
			return kid.Text
		}
	}
	return ""
}

func (p *pack) result(text, where string) catalog.Result {
	switch r := catalog.Result(text); r {
	case catalog.Succeeded, catalog.Failed, catalog.Cancelled:
		return r
	case "":
		return catalog.Failed // the schema's default
	}
	p.warn("result-unknown", where, fmt.Sprintf("result %.40q is not known; taken as Failed", text))
	return catalog.Failed
}

// uninstaller says how a package is taken away; nil where the author allows it not, or says not how.
func (p *pack) uninstaller(e *markup.Element, install *catalog.Installer) *catalog.Installer {
	if e.Kid("UninstallProperties") == nil || install.Type == catalog.EXE {
		return nil
	}
	away := *install
	away.Arguments = ""
	for _, kid := range e.Kids {
		if kid.Space == markup.MSI || kid.Space == markup.MSP {
			away.Arguments = kid.Attr("UninstallCommandLine")
		}
	}
	return &away
}
