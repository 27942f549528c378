// Package reach tells by what names, and where, a node may be reached.
package reach

import (
	"net"
	"os"
	"slices"
)

// DefaultListen is where a node listens unless told otherwise.
const DefaultListen = ":8743"

// Name is what people call a node: the name given, or that of its machine.
func Name(name string) string {
	if name != "" {
		return name
	}
	if host, err := os.Hostname(); err == nil && host != "" {
		return host
	}
	return "node"
}

// Addresses are those at which a node may be reached that is told to listen at an address and has names; bound is where it
// really listens, "" where it does not yet.
func Addresses(listen string, names []string, bound string) []string {
	host, port, _ := net.SplitHostPort(listen) // who configures it has looked at it
	if _, really, err := net.SplitHostPort(bound); err == nil {
		port = really
	}
	hosts := slices.Clone(names)
	switch ip := net.ParseIP(host); {
	case host != "" && (ip == nil || !ip.IsUnspecified()):
		hosts = append(hosts, host)
	default:
		if name, err := os.Hostname(); err == nil {
			hosts = append(hosts, name)
		}
		hosts = append(hosts, ownAddresses()...)
	}
	var list []string
	for _, host := range hosts {
		if at := net.JoinHostPort(host, port); !slices.Contains(list, at) && len(list) < mostAddresses {
			list = append(list, at)
		}
	}
	return list
}

const mostAddresses = 12

// ownAddresses are those of this machine.
func ownAddresses() (list []string) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, addr := range addrs {
		if ip, ok := addr.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() {
			list = append(list, ip.IP.String())
		}
	}
	return list
}

// CertificateNames are the host names and addresses for the certificate of a node that is told to listen at an address and
// has names.
func CertificateNames(listen string, more []string) []string {
	names := append([]string{"localhost", "127.0.0.1", "::1"}, more...)
	if host, _, err := net.SplitHostPort(listen); err == nil && host != "" {
		names = append(names, host)
	}
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	names = append(names, ownAddresses()...)
	slices.Sort(names)
	return slices.Compact(names)
}
