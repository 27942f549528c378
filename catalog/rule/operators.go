package rule

import (
	"slices"

	"thatch/catalog/rule/expression"
)

// operator is an entry of the vocabulary with what answers it for nodes that are not malformed.
type operator struct {
	*expression.Operator
	test func(*Evaluator, *Rule) answer // nil: no facts can
}

// operators is filled when the program starts: the tests of some reach back to it.
var operators = map[string]operator{}

func init() {
	for op, test := range tests() {
		operators[op] = operator{expression.Of(op), test}
	}
	for _, op := range expression.Operators() {
		if _, tested := operators[op]; !tested {
			operators[op] = operator{expression.Of(op), nil}
		}
	}
}

func tests() map[string]func(*Evaluator, *Rule) answer {
	return map[string]func(*Evaluator, *Rule) answer{
		"True": func(*Evaluator, *Rule) answer { return yes }, "False": func(*Evaluator, *Rule) answer { return no },
		"WindowsVersion":                  windowsVersion,
		"And":                             and,
		"Or":                              or,
		"Not":                             not,
		"RegKeyLoop":                      regKeyLoop,
		"WindowsLanguage":                 windowsLanguage,
		"MuiInstalled":                    muiInstalled,
		"MuiLanguageInstalled":            muiLanguageInstalled,
		"SystemMetric":                    systemMetric,
		"Processor":                       processor,
		"NumberOfProcessors":              numberOfProcessors,
		"ClusteredOS":                     clusteredOS,
		"ClusterResourceOwner":            clusterResourceOwner,
		"WmiQuery":                        wmiQuery,
		"InstalledOnce":                   installedOnce,
		"FileExists":                      fileExists,
		"FileExistsPrependRegSz":          fileExists,
		"FileVersion":                     fileVersion,
		"FileVersionPrependRegSz":         fileVersion,
		"FileCreated":                     fileCreated,
		"FileCreatedPrependRegSz":         fileCreated,
		"FileModified":                    fileModified,
		"FileModifiedPrependRegSz":        fileModified,
		"FileSize":                        fileSize,
		"FileSizePrependRegSz":            fileSize,
		"RegKeyExists":                    regKeyExists,
		"RegValueExists":                  regValueExists,
		"RegDword":                        regDword,
		"RegSz":                           regSz,
		"RegExpandSz":                     regExpandSz,
		"RegSzToVersion":                  regSzToVersion,
		"MsiProductInstalled":             msiProductInstalled,
		"MsiPatchInstalledForProduct":     msiPatchInstalledForProduct,
		"MsiFeatureInstalledForProduct":   msiFeatureInstalled,
		"MsiComponentInstalledForProduct": msiComponentInstalled,
		Hotfix:                            hotfix,
		WindowsBuild:                      windowsBuild,
		Architecture:                      architecture,
		ProductType:                       productType,
		Language:                          language,
		InstallationType:                  installationType,
		CannotTell:                        cannotTell,
		Prefer:                            prefer,
		"MsiPatchInstalled":               msiPatchInstalled,
		"MsiApplicationInstalled":         msiApplicationInstalled,
		"MsiPatchSuperseded":              msiPatchSuperseded,
		"MsiApplicationSuperseded":        msiApplicationSuperseded,
		"MsiPatchInstallable":             msiPatchInstallable,
		"MsiApplicationInstallable":       msiApplicationInstallable,
	}
}

// Untold lists, sorted, the operators in a rule that this version answers with cannot tell whatever the facts are:
// those it does not know, vendor extensions and driver rules.
func Untold(r *Rule) []string {
	var found []string
	expression.Walk(r, func(node *Rule) {
		if operators[node.Op].test == nil {
			found = append(found, node.Op)
		}
	})
	slices.Sort(found)
	return slices.Compact(found)
}
