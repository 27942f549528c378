package expression

import "strings"

// Target is one product that a patch is for, as the patch's metadata describe it.
type Target struct {
	Patch string // GUID
	Code  string // product code
	Node  *Node  // TargetProduct; nil: any version
}

// Targets reads MsiPatchMetadata/MsiPatch below a node. Wrong says what is missing there.
func (n *Node) Targets() (all []Target, wrong string) {
	patch := n.Part("MsiPatchMetadata").Part("MsiPatch")
	if patch == nil || patch.With["PatchGUID"] == "" {
		return nil, "has no MsiPatch with a PatchGUID in its metadata"
	}
	described := map[string]bool{}
	for _, child := range patch.Rules {
		if child == nil || child.Op != "TargetProduct" {
			continue
		}
		if code := child.Content("TargetProductCode"); code != "" {
			all = append(all, Target{patch.With["PatchGUID"], code, child})
			described[strings.ToUpper(code)] = true
		}
	}
	for _, code := range patch.Contents("TargetProductCode") {
		if code != "" && !described[strings.ToUpper(code)] {
			all = append(all, Target{patch.With["PatchGUID"], code, nil})
		}
	}
	if len(all) == 0 {
		return nil, "has a patch that names no target product"
	}
	return all, ""
}

// Validated says whether a TargetProduct wants one of its elements compared.
func (n *Node) Validated(name string) bool {
	child := n.Part(name)
	return child != nil && child.Flag("Validate") && strings.TrimSpace(child.With[Text]) != ""
}
