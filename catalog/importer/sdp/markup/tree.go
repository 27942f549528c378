package markup

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The namespaces of the format. Prefixes are the author's choice.
const (
	Publishing  = "http://schemas.microsoft.com/wsus/2005/04/CorporatePublishing/"
	SDP         = Publishing + "SoftwareDistributionPackage.xsd"
	Catalog     = "http://schemas.microsoft.com/sms/2005/04/CorporatePublishing/SystemsManagementCatalog.xsd"
	BAR         = Publishing + "BaseApplicabilityRules.xsd"
	LAR         = Publishing + "LogicalApplicabilityRules.xsd"
	MSIAR       = Publishing + "MsiApplicabilityRules.xsd"
	CommandLine = Publishing + "Installers/CommandLineInstallation.xsd"
	MSI         = Publishing + "Installers/MsiInstallation.xsd"
	MSP         = Publishing + "Installers/MspInstallation.xsd"
	Driver      = Publishing + "Installers/WindowsDriver.xsd"
	Patch       = "http://www.microsoft.com/msi/patch_applicability.xsd"
)

const (
	maxElements = 100_000
	maxNesting  = 200
)

// Element is one element of a package, with all that is in it.
type Element struct {
	Space, Name string // namespace and local name
	Attrs       []xml.Attr
	Kids        []*Element
	Text        string // trimmed; only of elements without others in them
}

// Parse reads the XML of one package, inside the start tags of a catalog where it comes from one.
func Parse(catalog, pack []byte) (*Element, error) {
	whole := make([]byte, 0, len(catalog)+len(pack))
	decoder := xml.NewDecoder(bytes.NewReader(append(append(whole, catalog...), pack...)))
	if len(catalog) > 0 {
		if _, err := decoder.Token(); err != nil {
			return nil, fmt.Errorf("start tag of the catalog: %w", err)
		}
	}
	t := &tree{decoder: decoder}
	for {
		token, err := decoder.Token()
		if err != nil {
			return nil, tokenError(err)
		}
		if start, ok := token.(xml.StartElement); ok {
			return t.element(start, 1)
		}
	}
}

func tokenError(err error) error {
	if errors.Is(err, io.EOF) {
		return errCut
	}
	if syntax := new(xml.SyntaxError); errors.As(err, &syntax) {
		if syntax.Msg == "unexpected EOF" {
			return errCut
		}
		return errors.New(syntax.Msg) // its line counts from somewhere else
	}
	return err
}

type tree struct {
	decoder *xml.Decoder
	count   int
}

func (t *tree) element(start xml.StartElement, depth int) (*Element, error) {
	if t.count++; t.count > maxElements || depth > maxNesting {
		return nil, fmt.Errorf("more than %d elements, or more than %d inside each other", maxElements, maxNesting)
	}
	e := &Element{Space: start.Name.Space, Name: start.Name.Local, Attrs: start.Attr}
	var text []byte
	for {
		token, err := t.decoder.Token()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name, tokenError(err))
		}
		switch token := token.(type) {
		case xml.StartElement:
			kid, err := t.element(token, depth+1)
			if err != nil {
				return nil, fmt.Errorf("%s/%w", e.Name, err)
			}
			e.Kids = append(e.Kids, kid)
		case xml.CharData:
			if len(e.Kids) == 0 {
				text = append(text, token...)
			}
		case xml.EndElement:
			if len(e.Kids) == 0 {
				e.Text = strings.TrimSpace(string(text))
			}
			return e, nil
		}
	}
}

// Children returns what is in an element, nothing of none.
func (e *Element) Children() []*Element {
	if e == nil {
		return nil
	}
	return e.Kids
}

// Attr returns an attribute that has no namespace, "" when it is absent.
func (e *Element) Attr(name string) string {
	value, _ := e.Lookup(name)
	return value
}

// Lookup returns an attribute that has no namespace, and whether it is there.
func (e *Element) Lookup(name string) (string, bool) {
	for i := range e.Attrs {
		if e.Attrs[i].Name.Space == "" && e.Attrs[i].Name.Local == name {
			return strings.TrimSpace(e.Attrs[i].Value), true
		}
	}
	return "", false
}

// Kid returns the first child of a name in the namespace of packages, nil when there is none.
func (e *Element) Kid(name string) *Element {
	if e == nil {
		return nil
	}
	for _, kid := range e.Kids {
		if kid.Name == name && kid.Space == SDP {
			return kid
		}
	}
	return nil
}

// All returns the children of a name in the namespace of packages.
func (e *Element) All(name string) (found []*Element) {
	if e == nil {
		return nil
	}
	for _, kid := range e.Kids {
		if kid.Name == name && kid.Space == SDP {
			found = append(found, kid)
		}
	}
	return found
}

// Content returns the texts of the children of a name, without empty ones.
func (e *Element) Content(name string) (texts []string) {
	for _, kid := range e.All(name) {
		if kid.Text != "" {
			texts = append(texts, kid.Text)
		}
	}
	return texts
}

// First returns the text of the first child of a name that has one.
func (e *Element) First(name string) string {
	if texts := e.Content(name); len(texts) > 0 {
		return texts[0]
	}
	return ""
}
