package sdp

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
	publishing = "http://schemas.microsoft.com/wsus/2005/04/CorporatePublishing/"
	nsSDP      = publishing + "SoftwareDistributionPackage.xsd"
	nsCatalog  = "http://schemas.microsoft.com/sms/2005/04/CorporatePublishing/SystemsManagementCatalog.xsd"
	nsBAR      = publishing + "BaseApplicabilityRules.xsd"
	nsLAR      = publishing + "LogicalApplicabilityRules.xsd"
	nsMSIAR    = publishing + "MsiApplicabilityRules.xsd"
	nsCMD      = publishing + "Installers/CommandLineInstallation.xsd"
	nsMSI      = publishing + "Installers/MsiInstallation.xsd"
	nsMSP      = publishing + "Installers/MspInstallation.xsd"
	nsDriver   = publishing + "Installers/WindowsDriver.xsd"
	nsPatch    = "http://www.microsoft.com/msi/patch_applicability.xsd"
)

const (
	maxElements = 100_000
	maxNesting  = 200
)

// element is one element of a package, with all that is in it.
type element struct {
	space, name string
	attrs       []xml.Attr
	kids        []*element
	text        string
}

// parse reads the XML of one package, inside the start tags of a catalog where it comes from one.
func parse(catalog, pack []byte) (*element, error) {
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
		return errors.New(syntax.Msg) // its line counts from somewhere else
	}
	return err
}

type tree struct {
	decoder *xml.Decoder
	count   int
}

func (t *tree) element(start xml.StartElement, depth int) (*element, error) {
	if t.count++; t.count > maxElements || depth > maxNesting {
		return nil, fmt.Errorf("more than %d elements, or more than %d inside each other", maxElements, maxNesting)
	}
	e := &element{space: start.Name.Space, name: start.Name.Local, attrs: start.Attr}
	var text []byte
	for {
		token, err := t.decoder.Token()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, tokenError(err))
		}
		switch token := token.(type) {
		case xml.StartElement:
			kid, err := t.element(token, depth+1)
			if err != nil {
				return nil, fmt.Errorf("%s/%w", e.name, err)
			}
			e.kids = append(e.kids, kid)
		case xml.CharData:
			if len(e.kids) == 0 {
				text = append(text, token...)
			}
		case xml.EndElement:
			if len(e.kids) == 0 {
				e.text = strings.TrimSpace(string(text))
			}
			return e, nil
		}
	}
}

// attr returns an attribute that has no namespace, "" when it is absent.
func (e *element) attr(name string) string {
	value, _ := e.lookup(name)
	return value
}

func (e *element) lookup(name string) (string, bool) {
	for i := range e.attrs {
		if e.attrs[i].Name.Space == "" && e.attrs[i].Name.Local == name {
			return strings.TrimSpace(e.attrs[i].Value), true
		}
	}
	return "", false
}

// kid returns the first child of a name in the namespace of packages, nil when there is none.
func (e *element) kid(name string) *element {
	if e == nil {
		return nil
	}
	for _, kid := range e.kids {
		if kid.name == name && kid.space == nsSDP {
			return kid
		}
	}
	return nil
}

// all returns the children of a name in the namespace of packages.
func (e *element) all(name string) (found []*element) {
	if e == nil {
		return nil
	}
	for _, kid := range e.kids {
		if kid.name == name && kid.space == nsSDP {
			found = append(found, kid)
		}
	}
	return found
}

// content returns the texts of the children of a name, without empty ones.
func (e *element) content(name string) (texts []string) {
	for _, kid := range e.all(name) {
		if kid.text != "" {
			texts = append(texts, kid.text)
		}
	}
	return texts
}

// first returns the text of the first child of a name that has one.
func (e *element) first(name string) string {
	if texts := e.content(name); len(texts) > 0 {
		return texts[0]
	}
	return ""
}
