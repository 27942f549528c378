package recorded_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"

	"thatch/agent/facts/recorded"
	"thatch/ringtest"
)

// tongue is how systeminfo speaks one language; values that nobody reads are left short.
type tongue struct {
	labels  string // of the fields in order, one per line
	name    string
	build   string // between version and build
	config  string
	pc      string
	locale  string
	count   string // of hotfixes, with %d
	none    string
	want    string // locale
	pages   []encoding.Encoding
	product string
	arch    string
	version string
}

var neutral = `Host|Name|Version|Manufacturer|Configuration|Build Type|Owner|Organization|Product ID|Install Date|Boot Time|
System Manufacturer|Model|Type|Processors|BIOS|Windows Directory|System Directory|Boot Device|System Locale|Input Locale|
Time Zone|Total Memory|Available|Virtual: Max|Virtual: Available|Virtual: In Use|Page File|Domain|Logon Server|Hotfixes|Network|Hyper-V`

// write makes the text that systeminfo prints.
func (g tongue) write(kbs []string) string {
	labels := strings.Split(strings.ReplaceAll(neutral, "\n", ""), "|")
	if g.labels != "" {
		copy(labels, strings.Split(g.labels, "|"))
	}
	build := g.version[strings.LastIndexByte(g.version, '.')+1:]
	values := []string{
		"ÅNGSTRÖM-01", g.name, g.version + " " + g.build + build, "Microsoft Corporation", g.config, "Multiprocessor Free", "User", "",
		"00000-00000-00000-AAAAA", "1", "2", "Maker", "Model x86 Deluxe", g.pc, "1\n[01]: Intel64 Family 6 Model 42", "BIOS 1.0", `C:\Windows`, `C:\Windows\system32`,
		`\Device\HarddiskVolume1`, g.locale, g.locale, "(UTC+01:00)", "1.024 MB", "512 MB", "2 MB", "1 MB", "1 MB", `C:\pagefile.sys`, "WORKGROUP", `\\HOST`,
		g.none, "1\n[01]: Card\n      Name: Ethernet\n      [01]: 192.168.0.1", "-",
	}
	values[0] = "HOST-01"
	if len(kbs) > 0 {
		values[30] = fmt.Sprintf(g.count, len(kbs))
		for i, kb := range kbs {
			values[30] += fmt.Sprintf("\n[%02d]: KB%s", i+1, kb)
		}
	}
	var out strings.Builder
	out.WriteString("\r\n")
	for i, label := range labels {
		lines := strings.Split(values[i], "\n")
		fmt.Fprintf(&out, "%s: %s%s\r\n", label, strings.Repeat(" ", max(0, 30-len([]rune(label)))), lines[0])
		for _, line := range lines[1:] {
			fmt.Fprintf(&out, "%s%s\r\n", strings.Repeat(" ", 32), line)
		}
	}
	return out.String()
}

var tongues = map[string]tongue{
	"english 10": {
		name: "Microsoft Windows 10 Pro", version: "10.0.19045", build: "N/A Build ", config: "Standalone Workstation", pc: "x64-based PC",
		locale: "en-us;English (United States)", count: "%d Hotfix(s) Installed.", none: "N/A", want: "en-us",
		product: "Windows 10 Version 22H2 for x64-based Systems", arch: "x64", pages: []encoding.Encoding{charmap.CodePage437},
	},
	"german server": {
		labels: "Hostname|Betriebssystemname|Betriebssystemversion|Betriebssystemhersteller|Betriebssystemkonfiguration",
		name:   "Microsoft Windows Server 2022 Standard", version: "10.0.20348", build: "Nicht zutreffend Build ", config: "Eigenständiger Server", pc: "x64-based PC",
		locale: "de;Deutsch (Österreich)", count: "%d Hotfix(e) installiert.", none: "Nicht zutreffend", want: "de",
		product: "Windows Server 2022", arch: "x64", pages: []encoding.Encoding{charmap.CodePage850, charmap.Windows1252},
	},
	"french 11": {
		labels: "Nom de l’hôte|Nom du système d’exploitation|Version du système|Fabricant du système d’exploitation|Configuration du système d’exploitation",
		name:   "Microsoft Windows 11 Professionnel", version: "10.0.22631", build: "N/A version ", config: "Station de travail autonome", pc: "PC à base de x64",
		locale: "fr;Français (France)", count: "%d Corrections installées.", none: "N/A", want: "fr",
		product: "Windows 11 Version 23H2 for x64-based Systems", arch: "x64", pages: []encoding.Encoding{charmap.Windows1252},
	},
	"italian 7": {
		labels: "Nome host|Nome SO|Versione SO|Produttore SO|Configurazione SO",
		name:   "Microsoft Windows 7 Professional ", version: "6.1.7601", build: "Service Pack 1 build ", config: "Workstation autonoma", pc: "X86-based PC",
		locale: "it;Italiano (Italia)", count: "%d Aggiornamenti rapidi installati.", none: "N/D", want: "it",
		product: "Windows 7 for 32-bit Systems Service Pack 1", arch: "x86", pages: []encoding.Encoding{charmap.CodePage850},
	},
	"portuguese 2008 R2": {
		labels: "Nome do host|Nome do sistema operacional|Versão do sistema operacional|Fabricante do sistema operacional|Configuração do SO",
		name:   "Microsoft Windows Server 2008 R2 Enterprise ", version: "6.1.7601", build: "Service Pack 1 Compilação ", config: "Controlador de domínio primário", pc: "x64-based PC",
		locale: "pt-br;Português (Brasil)", count: "%d hotfix(es) instalado(s).", none: "N/A", want: "pt-br",
		product: "Windows Server 2008 R2 for x64-based Systems Service Pack 1", arch: "x64", pages: []encoding.Encoding{charmap.CodePage850, charmap.Windows1252},
	},
	"polish 8.1": {
		labels: "Nazwa hosta|Nazwa systemu operacyjnego|Wersja systemu operacyjnego|Producent systemu operacyjnego|Konfiguracja systemu operacyjnego",
		name:   "Microsoft Windows 8.1 Pro", version: "6.3.9600", build: "Nie dotyczy Kompilacja ", config: "Autonomiczna stacja robocza", pc: "x64-based PC",
		locale: "pl;Polski", count: "Zainstalowane poprawki: %d.", none: "Nie dotyczy", want: "pl",
		product: "Windows 8.1 for x64-based Systems", arch: "x64", pages: []encoding.Encoding{charmap.CodePage852, charmap.Windows1250},
	},
	"chinese 2016": {
		labels: "主机名|OS 名称|OS 版本|OS 制造商|OS 配置",
		name:   "Microsoft Windows Server 2016 Datacenter", version: "10.0.14393", build: "暂缺 Build ", config: "成员服务器", pc: "x64-based PC",
		locale: "zh-cn;中文(中国)", count: "安装了 %d 个修补程序。", none: "暂缺", want: "zh-cn",
		product: "Windows Server 2016", arch: "x64", pages: []encoding.Encoding{simplifiedchinese.GBK, simplifiedchinese.GB18030},
	},
	"taiwanese 10": {
		labels: "主機名稱|作業系統名稱|作業系統版本|作業系統製造商|作業系統設定",
		name:   "Microsoft Windows 10 企業版", version: "10.0.17763", build: "N/A 組建 ", config: "獨立工作站", pc: "x64-based PC",
		locale: "zh-tw;中文 (台灣)", count: "已安裝 %d 個 Hotfix。", none: "N/A", want: "zh-tw",
		product: "Windows 10 Version 1809 for x64-based Systems", arch: "x64", pages: []encoding.Encoding{traditionalchinese.Big5},
	},
	"japanese 2019": {
		labels: "ホスト名|OS 名|OS バージョン|OS 製造元|OS 構成",
		name:   "Microsoft Windows Server 2019 Standard", version: "10.0.17763", build: "N/A ビルド ", config: "プライマリ ドメイン コントローラー", pc: "x64-based PC",
		locale: "ja;日本語", count: "%d ホットフィックスがインストールされています。", none: "N/A", want: "ja",
		product: "Windows Server 2019", arch: "x64", pages: []encoding.Encoding{japanese.ShiftJIS},
	},
	"korean arm": {
		labels: "호스트 이름|OS 이름|OS 버전|OS 제조업체|OS 구성",
		name:   "Microsoft Windows 11 Home", version: "10.0.26100", build: "N/A 빌드 ", config: "독립 실행형 워크스테이션", pc: "ARM64-based PC",
		locale: "ko;한국어", count: "%d 개 핫픽스가 설치됨.", none: "해당 없음", want: "ko",
		product: "Windows 11 Version 24H2 for ARM64-based Systems", arch: "arm64", pages: []encoding.Encoding{korean.EUCKR},
	},
	"russian 2012": {
		labels: "Имя узла|Название ОС|Версия ОС|Изготовитель ОС|Параметры ОС",
		name:   "Майкрософт Windows Server 2012 Standard", version: "6.2.9200", build: "Н/Д построение ", config: "Рядовой сервер", pc: "x64-based PC",
		locale: "ru;Русский", count: "Число установленных исправлений - %d.", none: "Н/Д", want: "ru",
		product: "Windows Server 2012", arch: "x64", pages: []encoding.Encoding{charmap.CodePage866, charmap.Windows1251},
	},
	"old server": {
		name: "Microsoft® Windows Server® 2008 Standard ", version: "6.0.6003", build: "Service Pack 2 Build ", config: "Member Server", pc: "X86-based PC",
		locale: "en-us;English (United States)", count: "%d Hotfix(s) Installed.", none: "N/A", want: "en-us",
		product: "Windows Server 2008 for 32-bit Systems Service Pack 2", arch: "x86", pages: []encoding.Encoding{charmap.Windows1252},
	},
	"core release": {
		name: "Microsoft Windows Server Datacenter", version: "10.0.25398", build: "N/A Build ", config: "Member Server", pc: "x64-based PC",
		locale: "en-us;English (United States)", count: "%d Hotfix(s) Installed.", none: "N/A", want: "en-us",
		product: "Windows Server 2022, 23H2 Edition (Server Core installation)", arch: "x64", pages: []encoding.Encoding{charmap.CodePage437},
	},
}

// encodings are all ways in which a text of that language may lie on disk.
func (g tongue) encodings(t *testing.T, text string) map[string][]byte {
	t.Helper()
	all := map[string]encoding.Encoding{
		"utf-8":              unicode.UTF8,
		"utf-8 with mark":    unicode.UTF8BOM,
		"utf-16le with mark": unicode.UTF16(unicode.LittleEndian, unicode.UseBOM),
		"utf-16be with mark": unicode.UTF16(unicode.BigEndian, unicode.UseBOM),
		"utf-16le":           unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM),
		"utf-16be":           unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM),
	}
	for i, page := range g.pages {
		all[fmt.Sprintf("page %d", i)] = page
	}
	out := make(map[string][]byte)
	for name, enc := range all {
		raw, err := encoding.ReplaceUnsupported(enc.NewEncoder()).Bytes([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out[name] = raw
	}
	return out
}

func TestEveryLanguageAndEncoding(t *testing.T) {
	kbs := []string{"4480056", "5031354", "958488"}
	for name, g := range tongues {
		for encoded, raw := range g.encodings(t, g.write(kbs)) {
			t.Run(name+" in "+encoded, func(t *testing.T) {
				h, err := recorded.Read(raw, nil)
				if err != nil {
					t.Fatal(err)
				}
				g.check(t, h)
				if got := h.Facts.Hotfixes; got == nil || !got.Complete || !slices.Equal(got.KBs, slices.Sorted(slices.Values(kbs))) {
					t.Errorf("hotfixes %+v", got)
				}
				if strings.HasPrefix(encoded, "utf") && h.Facts.System.Name != strings.TrimSpace(g.name) {
					t.Errorf("name %q", h.Facts.System.Name)
				}
			})
		}
	}
}

func (g tongue) check(t *testing.T, h *recorded.Host) {
	t.Helper()
	sys := h.Facts.System
	if sys.Product != g.product || sys.Architecture != g.arch || h.Locale != g.want || h.Name != "HOST-01" || sys.Revision != -1 {
		t.Errorf("product %q, architecture %q, locale %q, host %q, revision %d", sys.Product, sys.Architecture, h.Locale, h.Name, sys.Revision)
	}
	server := strings.Contains(g.product, "Server")
	if (sys.ProductType > 1) != server || (sys.InstallationType == "client") == server {
		t.Errorf("product type %d, installation %q", sys.ProductType, sys.InstallationType)
	}
	domain := strings.Contains(g.config, "ドメイン") || strings.Contains(g.config, "domínio")
	if (sys.ProductType == 2) != domain {
		t.Errorf("product type %d of %q", sys.ProductType, g.config)
	}
	if (sys.ServicePackMajor > 0) != strings.Contains(g.build, "Service Pack") {
		t.Errorf("service pack %d", sys.ServicePackMajor)
	}
}

// What differs between versions of Windows and of languages in the lines that matter.
func TestVariants(t *testing.T) {
	whole := tongues["english 10"].write([]string{"5031356"})
	for what, change := range map[string][2]string{
		"text behind the build":       {"10.0.19045 N/A Build 19045", "10.0.19045 N/A Build 19045 (final)"},
		"no space before the build":   {"10.0.19045 N/A Build 19045", "10.0.19045 N/A ビルド19045"},
		"a localised system type":     {"x64-based PC", "基于 x64 的电脑"},
		"another localised type":      {"x64-based PC", "PC basato su x64"},
		"a hotfix with a description": {"[01]: KB5031356", "[01]: KB5031356 - Update"},
		"a colon of full width":       {"Version: ", "Version： "},
		"lines end without return":    {"\r\n", "\n"},
		"no organisation line":        {"Organization:                   \r\n", ""},
		"trademarks in the name":      {"Microsoft Windows 10 Pro", "Microsoft® Windows® 10 Pro"},
	} {
		text := strings.ReplaceAll(whole, change[0], change[1])
		if text == whole {
			t.Errorf("%s: the text has no %q", what, change[0])
		}
		h, err := recorded.Read([]byte(text), nil)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if h.Facts.System.Product != "Windows 10 Version 22H2 for x64-based Systems" || h.Facts.Hotfixes == nil || !slices.Equal(h.Facts.Hotfixes.KBs, []string{"5031356"}) || h.Locale != "en-us" {
			t.Errorf("%s: %+v %+v", what, h.Facts.System, h.Facts.Hotfixes)
		}
	}
	// Old systems list files and numbers of an older kind among the hotfixes.
	old := strings.Replace(whole, "1 Hotfix(s) Installed.\r\n", "4 Hotfix(s) Installed.\r\n                                [01]: File 1\r\n                                [02]: Q147222\r\n                                [03]: Q828026 - Update\r\n", 1)
	h, err := recorded.Read([]byte(old), nil)
	if err != nil || !h.Facts.Hotfixes.Complete || !slices.Equal(h.Facts.Hotfixes.KBs, []string{"147222", "5031356", "828026"}) {
		t.Errorf("%+v, %v", h.Facts.Hotfixes, err)
	}
}

func TestNoHotfixesIsACompleteList(t *testing.T) {
	for name, g := range tongues {
		h, err := recorded.Read([]byte(g.write(nil)), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := h.Facts.Hotfixes; got == nil || len(got.KBs) != 0 || !got.Complete {
			t.Errorf("%s: hotfixes %+v, notes %v", name, got, h.Notes)
		}
	}
}

func TestCutHotfixListIsNotComplete(t *testing.T) {
	g := tongues["english 10"]
	text := g.write([]string{"4480056", "5031354", "958488"})
	cut := strings.Replace(text, "[03]: KB958488", "[0", 1)
	h, err := recorded.Read([]byte(cut), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := h.Facts.Hotfixes; got.Complete || !slices.Equal(got.KBs, []string{"4480056", "5031354"}) || len(h.Notes) == 0 {
		t.Errorf("%+v, notes %v", got, h.Notes)
	}
	// A whole list beside it makes up for that.
	h, err = recorded.Read([]byte(cut), []byte("HotFixID\nKB4480056\nKB5031354\nKB958488\n"))
	if err != nil || !h.Facts.Hotfixes.Complete || len(h.Facts.Hotfixes.KBs) != 3 {
		t.Errorf("%+v, %v", h.Facts.Hotfixes, err)
	}
	// The list is there no more at all.
	h, err = recorded.Read([]byte(text[:strings.Index(text, "Logon Server")]), nil)
	if err != nil || h.Facts.Hotfixes != nil || len(h.Notes) == 0 {
		t.Errorf("%+v, notes %v, %v", h.Facts.Hotfixes, h.Notes, err)
	}
}

func TestCSVAndTable(t *testing.T) {
	csv := `"Host Name","OS Name","OS Version","OS Manufacturer","OS Configuration","OS Build Type","Registered Owner","Registered Organization","Product ID","Original Install Date","System Boot Time","System Manufacturer","System Model","System Type","Processor(s)","BIOS Version","Windows Directory","System Directory","Boot Device","System Locale","Input Locale","Time Zone","Total Physical Memory","Available Physical Memory","Virtual Memory: Max Size","Virtual Memory: Available","Virtual Memory: In Use","Page File Location(s)","Domain","Logon Server","Hotfix(s)","Network Card(s)","Hyper-V Requirements"
"PC7","Microsoft Windows 10 Enterprise","10.0.18363 N/A Build 18363","Microsoft Corporation","Member Workstation","Multiprocessor Free","me","","1","2","3","Maker","Model","x64-based PC","1 Processor(s) Installed.,[01]: Intel64 Family 6","BIOS","C:\Windows","C:\Windows\system32","\Device\HarddiskVolume1","nl;Dutch","nl;Dutch","(UTC+01:00) Amsterdam, Berlin","1 MB","1 MB","1 MB","1 MB","1 MB","C:\pagefile.sys","corp.example","\\DC1","2 Hotfix(s) Installed.,[01]: KB4552931,[02]: KB4497165","1 NIC(s) Installed.,[01]: Card","-"
`
	for name, text := range map[string]string{
		"csv": csv, "csv without header": csv[strings.IndexByte(csv, '\n')+1:],
		"csv, none": strings.Replace(csv, `"2 Hotfix(s) Installed.,[01]: KB4552931,[02]: KB4497165"`, `"N/A"`, 1),
		"table":     table(csv),
	} {
		h, err := recorded.Read([]byte(text), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := []string{"4497165", "4552931"}
		if name == "csv, none" {
			want = nil
		}
		if h.Name != "PC7" || h.Locale != "nl" || h.Facts.System.Product != "Windows 10 Version 1909 for x64-based Systems" ||
			!slices.Equal(h.Facts.Hotfixes.KBs, want) || !h.Facts.Hotfixes.Complete {
			t.Errorf("%s: %q %q %+v %+v", name, h.Name, h.Locale, h.Facts.System, h.Facts.Hotfixes)
		}
	}
}

// table writes what systeminfo /fo table does with a CSV of it.
func table(csv string) string {
	lines := strings.Split(strings.TrimSpace(csv), "\n")
	var rows [2][]string
	for i := range rows {
		rows[i] = strings.Split(strings.Trim(lines[i], `"`), `","`)
	}
	var head, ruler, values strings.Builder
	for i := range rows[0] {
		width := max(len(rows[0][i]), len(rows[1][i]))
		fmt.Fprintf(&head, "%-*s ", width, rows[0][i])
		ruler.WriteString(strings.Repeat("=", width) + " ")
		fmt.Fprintf(&values, "%-*s ", width, rows[1][i])
	}
	return "\n" + head.String() + "\n" + ruler.String() + "\n" + values.String() + "\n"
}

func TestHotfixLists(t *testing.T) {
	utf16, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String("HotFixID  \r\r\nKB4480056 \r\r\nKB4462930 \r\r\n")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"wmic":         {utf16, []string{"4462930", "4480056"}},
		"empty wmic":   {"\xff\xfe\r\x00\n\x00", nil},
		"empty":        {"", nil},
		"not any":      {"N/A\r\n", nil},
		"header alone": {"HotFixID\r\n", nil},
		"all columns": {"Caption                                     CSName  Description      FixComments  HotFixID   InstallDate  InstalledBy          InstalledOn\r\n" +
			"http://support.microsoft.com/?kbid=4480056  PC7     Security Update               KB4480056               NT AUTHORITY\\SYSTEM  1/9/2019\r\n", []string{"4480056"}},
		"Get-HotFix": {"\r\nSource        Description      HotFixID      InstalledBy          InstalledOn\r\n------        -----------      --------      -----------          -----------\r\n" +
			"PC7           Update           KB4486153     NT AUTHORITY\\SYSTEM  3/5/2019 12:00:00 AM\r\nPC7           Security Update  KB4487038     NT AUTHORITY\\SYSTEM  3/5/2019\r\n", []string{"4486153", "4487038"}},
		"numbers":     {"4480056\n4462930\n", []string{"4462930", "4480056"}},
		"lower case":  {"kb4480056, kb4480056", []string{"4480056"}},
		"packages":    {"Package_for_KB4480056~31bf3856ad364e35~amd64~~17763.194.1.1\n", []string{"4480056"}},
		"systeminfo":  {tongues["english 10"].write([]string{"5031356"}), []string{"5031356"}},
		"csv columns": {"Node,HotFixID\r\nPC7,KB5031356\r\n", []string{"5031356"}},
	} {
		got, err := recorded.ReadHotfixes([]byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !slices.Equal(got.KBs, c.want) || !got.Complete {
			t.Errorf("%s: %+v, want %v", name, got, c.want)
		}
	}
}

func TestOtherTextsAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty":      "",
		"ver":        "\r\nMicrosoft Windows [Version 10.0.19045.3570]\r\n",
		"ipconfig":   "\r\nWindows IP Configuration\r\n\r\n   Host Name . . . . . . . . . . . . : PC7\r\n",
		"msinfo32":   "OS Name\tMicrosoft Windows 10 Pro\r\nVersion\t10.0.19045 Build 19045\r\nSystem Type\tx64-based PC\r\n",
		"one line":   "Version: 10.0.19045 N/A Build 19045\r\n",
		"prose":      "Dear administrator, please find our builds 10.0.17763 and 10.0.17134 below.",
		"json":       `{"computer":"PC7"}`,
		"bad json":   `{"system":`,
		"binary":     "\x7fELF\x00\x01\x02\x00\x00\xff\xfe",
		"xml":        "<?xml version=\"1.0\"?><cvrfdoc/>",
		"other size": strings.Repeat("x", recorded.MaxSize+1),
	} {
		if h, err := recorded.Read([]byte(text), nil); !errors.Is(err, recorded.ErrNotRecorded) {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
	}
	for name, text := range map[string]string{"prose": "please find the list attached\n", "ipconfig": "Windows IP Configuration\r\n"} {
		if got, err := recorded.ReadHotfixes([]byte(text)); !errors.Is(err, recorded.ErrNotRecorded) {
			t.Errorf("hotfix list %s: %+v, %v", name, got, err)
		}
	}
}

func TestFactsAsJSON(t *testing.T) {
	h, err := recorded.Read([]byte(`{"name":"PC7","system":{"platform":"windows","major":10,"minor":0,"build":17134,"revision":590,
		"product_type":1,"installation_type":"client","architecture":"x64","languages":["de-de"]},"hotfixes":{"kbs":["KB4487017"],"complete":true}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	sys := h.Facts.System
	if sys.Product != "Windows 10 Version 1803 for x64-based Systems" || sys.Revision != 590 || h.Locale != "de-de" || h.Facts.Hotfixes.KBs[0] != "4487017" {
		t.Errorf("%+v %+v", h, sys)
	}
	again, err := json.Marshal(h.Record())
	if err != nil {
		t.Fatal(err)
	}
	back, err := recorded.Read(again, nil)
	if err != nil || back.Facts.System.Product != sys.Product || !slices.Equal(back.Facts.Hotfixes.KBs, h.Facts.Hotfixes.KBs) || back.Name != "PC7" {
		t.Errorf("read back: %+v, %v", back, err)
	}
}

// A recording that was written as JSON is read back as the same facts.
func TestRecordReadsBack(t *testing.T) {
	for name, g := range tongues {
		h, err := recorded.Read([]byte(g.write([]string{"4480056"})), nil)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(h.Record())
		if err != nil {
			t.Fatal(err)
		}
		back, err := recorded.Read(raw, nil)
		if err != nil || !reflect.DeepEqual(back.Facts.System, h.Facts.System) || !reflect.DeepEqual(back.Facts.Hotfixes, h.Facts.Hotfixes) {
			t.Errorf("%s: %+v, %v; was %+v", name, back, err, h)
		}
	}
}

// The recordings of real computers are all understood.
func TestRealHosts(t *testing.T) {
	dir := ringtest.Data(t, "hosts")
	for file, want := range map[string]struct {
		product, locale string
		kbs             int
		complete        bool
	}{
		"10_1803_x64_proforworkstations_en-us_B_20190306_systeminfo.txt": {"Windows 10 Version 1803 for x64-based Systems", "en-us", 0, true},
		"10_1803_x86_enterprise_nl_systeminfo.txt":                       {"Windows 10 Version 1803 for 32-bit Systems", "nl", 4, true},
		"10_1809_x64_education_es_systeminfo.txt":                        {"Windows 10 Version 1809 for x64-based Systems", "es", 9, true},
		"11_23H2_x64_enterprise_systeminfo.txt":                          {"Windows 11 Version 23H2 for x64-based Systems", "en-us", 4, true},
		"7_sp1_x64_enterprise_en-us_A_systeminfo.txt":                    {"Windows 7 for x64-based Systems Service Pack 1", "en-us", 219, true},
		"7_sp1_x64_ultimaten_de_systeminfo.txt":                          {"Windows 7 for x64-based Systems Service Pack 1", "de", 242, false},
		"srv_2012r2_x64_standard_ru_systeminfo.txt":                      {"Windows Server 2012 R2", "ru", 7, true},
		"srv_2019_rtm_datacenter_en-us_systeminfo.txt":                   {"Windows Server 2019", "en-us", 5, true},
	} {
		raw, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		h, err := recorded.Read(raw, nil)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if h.Facts.System.Product != want.product || h.Locale != want.locale || len(h.Facts.Hotfixes.KBs) != want.kbs || h.Facts.Hotfixes.Complete != want.complete {
			t.Errorf("%s: %q %q %d hotfixes, complete %v", file, h.Facts.System.Product, h.Locale, len(h.Facts.Hotfixes.KBs), h.Facts.Hotfixes.Complete)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, g := range tongues {
		f.Add([]byte(g.write([]string{"4480056"})), []byte("HotFixID\nKB4480056\n"))
	}
	f.Add([]byte("\"a\",\"10.0.1 x 1\""), []byte{0xff, 0xfe})
	f.Fuzz(func(t *testing.T, host, list []byte) {
		h, err := recorded.Read(host, list)
		if err == nil && h.Facts.System == nil {
			t.Error("a host without a system")
		}
		if err != nil && !errors.Is(err, recorded.ErrNotRecorded) {
			t.Errorf("an error of another kind: %v", err)
		}
	})
}
