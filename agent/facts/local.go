package facts

import (
	"net"
	"slices"
)

// architecture names Go's architectures as rules do.
func architecture(goarch string) string {
	switch goarch {
	case "amd64":
		return "x64"
	case "386":
		return "x86"
	case "arm", "arm64":
		return goarch
	}
	return ""
}

// maxAddresses bounds what is reported; a computer with containers can have hundreds.
const maxAddresses = 16

// addresses are the computer's own, without those that reach only itself or its link.
func addresses() []string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var texts []string
	for _, one := range all {
		network, ok := one.(*net.IPNet)
		if ok && network.IP.IsGlobalUnicast() {
			texts = append(texts, network.IP.String())
		}
	}
	slices.Sort(texts)
	return texts[:min(len(texts), maxAddresses)]
}
