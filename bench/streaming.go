package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// catalogSize is how large a catalog benchStream makes, in bytes.
const catalogSize = 200 << 20

// benchStream imports one SDP catalog of 200 MB into a fresh node: what counts is the memory that takes.
func benchStream(ctx context.Context, _ settings) ([]row, error) {
	folder, err := os.MkdirTemp("", "thatch-bench-sdp-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	catalog := filepath.Join(folder, "catalog.xml")
	packages, err := writeCatalog(catalog, catalogSize)
	if err != nil {
		return nil, err
	}
	binary, err := buildThatch(ctx, folder)
	if err != nil {
		return nil, err
	}
	node, err := startNode(ctx, binary)
	if err != nil {
		return nil, err
	}
	defer node.stop()
	before, err := usageOf(node.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	var out []byte
	held, err := peakHeld(node.cmd.Process.Pid, func() (err error) {
		out, err = node.thatch(ctx, "catalog", "import", "--source", "sdp", "--from", catalog, "--json")
		return err
	})
	if err != nil {
		return nil, err
	}
	wall := time.Since(started)
	var result struct {
		Changed int `json:"changed"`
	}
	if err := json.Unmarshal(out, &result); err != nil {
		return nil, fmt.Errorf("catalog import --json printed no object: %w", err)
	}
	if result.Changed != 3*packages {
		return nil, fmt.Errorf("%d documents of %d packages were imported", result.Changed, packages)
	}
	after, err := usageOf(node.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	note := fmt.Sprintf("%d packages, %.0f s, %.0f s of processor time; with mapped pages of the log's file %d MB",
		packages, wall.Seconds(), (after.cpu - before.cpu).Seconds(), after.peak>>20)
	return []row{{"import of one SDP catalog of 200 MB, peak memory of the node", fmt.Sprintf("%d MB", held>>20), "aim: under 200 MB", note}}, nil
}

// peakHeld is the most memory that a process has of its own while something is done, without pages of files, which the
// system takes back when it wants them.
func peakHeld(pid int, do func() error) (int64, error) {
	done := make(chan error, 1)
	go func() { done <- do() }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var most int64
	for {
		select {
		case err := <-done:
			return most, err
		case <-tick.C:
			now, err := memoryOf(pid, "RssAnon:")
			if err != nil {
				return 0, errors.Join(err, <-done)
			}
			most = max(most, now)
		}
	}
}

const catalogHead = `<?xml version="1.0" encoding="utf-8"?>
<smc:SystemsManagementCatalog xmlns:smc="http://schemas.microsoft.com/sms/2005/04/CorporatePublishing/SystemsManagementCatalog.xsd"
 xmlns:sdp="http://schemas.microsoft.com/wsus/2005/04/CorporatePublishing/SoftwareDistributionPackage.xsd"
 xmlns:bar="http://schemas.microsoft.com/wsus/2005/04/CorporatePublishing/BaseApplicabilityRules.xsd"
 xmlns:cmd="http://schemas.microsoft.com/wsus/2005/04/CorporatePublishing/Installers/CommandLineInstallation.xsd">
`

// catalogPackage has its number in the places of %[1]d and a long text in that of %[2]s.
const catalogPackage = `<smc:SoftwareDistributionPackage SchemaVersion="1.2">
 <sdp:Properties PackageID="00000000-0000-0000-0000-%012[1]d" CreationDate="2024-01-01T00:00:00" VendorName="Vendor"><sdp:ProductName>Product</sdp:ProductName></sdp:Properties>
 <sdp:LocalizedProperties><sdp:Language>en</sdp:Language><sdp:Title>Driver %[1]d</sdp:Title><sdp:Description>%[2]s</sdp:Description></sdp:LocalizedProperties>
 <sdp:UpdateSpecificData UpdateClassification="Updates" MsrcSeverity="Low"><sdp:KBArticleID>SP%[1]d</sdp:KBArticleID></sdp:UpdateSpecificData>
 <sdp:IsInstallable><bar:Processor Architecture="9"/></sdp:IsInstallable>
 <sdp:InstallableItem ID="00000001-0000-0000-0000-%012[1]d">
  <sdp:ApplicabilityRules>
   <sdp:IsInstalled><bar:RegKeyExists Key="HKEY_LOCAL_MACHINE" Subkey="SOFTWARE\Vendor\%[1]d"/></sdp:IsInstalled>
   <sdp:IsInstallable><bar:WindowsVersion MajorVersion="10"/></sdp:IsInstallable>
  </sdp:ApplicabilityRules>
  <sdp:InstallProperties RebootBehavior="NeverReboots"/>
  <cmd:CommandLineInstallerData Program="setup.exe"><cmd:ReturnCode Code="0" Result="Succeeded"/></cmd:CommandLineInstallerData>
  <sdp:OriginFile Digest="2jmj7l5rSw0yVb/vlWAYkK/YBwk=" FileName="setup.exe" Size="10" OriginUri="http://vendor.example/%[1]d.exe"/>
 </sdp:InstallableItem>
</smc:SoftwareDistributionPackage>
`

// writeCatalog writes an SDP catalog of at least a size, of packages as large as HP's (ten kilobytes).
func writeCatalog(path string, size int) (packages int, err error) {
	file, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	out := bufio.NewWriterSize(file, 1<<20)
	text := strings.Repeat("What this driver mends, at length. ", 240)
	written, _ := out.WriteString(catalogHead)
	for written < size {
		packages++
		n, _ := fmt.Fprintf(out, catalogPackage, packages, text)
		written += n
	}
	_, _ = out.WriteString("</smc:SystemsManagementCatalog>\n")
	return packages, errors.Join(out.Flush(), file.Close())
}
