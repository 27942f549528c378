package memory

import (
	"slices"
	"strings"

	"thatch/catalog/rule"
)

// Installer lists what the Windows Installer has installed for all users.
type Installer struct {
	Products []Product `json:"products"`
}

// Product is an installed product. Features, components and patches that are not given (null) were not collected.
type Product struct {
	Code        string   `json:"code"` // {GUID}
	Version     string   `json:"version"`
	Language    int      `json:"language,omitempty"`
	UpgradeCode string   `json:"upgrade_code,omitempty"`
	Features    []string `json:"features"`
	Components  []string `json:"components"`
	Patches     []string `json:"patches"`
}

func (i *Installer) find(code string) *Product {
	at := slices.IndexFunc(i.Products, func(p Product) bool { return strings.EqualFold(p.Code, code) })
	if at < 0 {
		return nil
	}
	return &i.Products[at]
}

// Install adds a product, in place of one with the same code.
func (i *Installer) Install(p Product) {
	i.Remove(p.Code)
	i.Products = append(i.Products, p)
}

// Remove takes a product away and says whether it was there.
func (i *Installer) Remove(code string) bool {
	before := len(i.Products)
	i.Products = slices.DeleteFunc(i.Products, func(p Product) bool { return strings.EqualFold(p.Code, code) })
	return len(i.Products) < before
}

func (p *Product) fact() rule.Product {
	return rule.Product{Code: p.Code, Version: p.Version, Language: p.Language}
}

// Product implements rule.Installer.
func (i *Installer) Product(code string) (rule.Product, bool, error) {
	if p := i.find(code); p != nil {
		return p.fact(), true, nil
	}
	return rule.Product{}, false, nil
}

// has looks in a list of an installed product.
func (i *Installer) has(product, name string, list func(*Product) []string) (bool, error) {
	p := i.find(product)
	if p == nil {
		return false, nil
	}
	all := list(p)
	if all == nil {
		return false, notCollected()
	}
	return containsFold(all, name), nil
}

// Feature implements rule.Installer.
func (i *Installer) Feature(product, feature string) (bool, error) {
	return i.has(product, feature, func(p *Product) []string { return p.Features })
}

// Component implements rule.Installer.
func (i *Installer) Component(product, component string) (bool, error) {
	return i.has(product, component, func(p *Product) []string { return p.Components })
}

// Patch implements rule.Installer.
func (i *Installer) Patch(product, patch string) (bool, error) {
	return i.has(product, patch, func(p *Product) []string { return p.Patches })
}

// Related implements rule.Installer.
func (i *Installer) Related(upgradeCode string) ([]rule.Product, error) {
	var related []rule.Product
	for _, p := range i.Products {
		if upgradeCode != "" && strings.EqualFold(p.UpgradeCode, upgradeCode) {
			related = append(related, p.fact())
		}
	}
	return related, nil
}
