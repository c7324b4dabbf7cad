package rpm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Tags of the signature and of the header, as rpm numbers them.
const (
	sigRSA, sigSHA1, sigSHA256, sigPGP, sigMD5              = 268, 269, 273, 1002, 1004
	tagRequires, tagFlags, tagUsers, tagGroups, tagModes    = 1049, 1037, 1039, 1040, 1030
	tagBaseNames, tagDirIndexes, tagDirNames                = 1117, 1116, 1118
	tagCompressor, tagFileDigest, tagPayloadDigest          = 1125, 5011, 5092
	tagRecommends, tagSuggests, tagSupplements, tagEnhances = 5046, 5049, 5052, 5055
	tagBuildHost                                            = 1007
	typeString, typeStrings, typeI18N, typeInt32, typeInt16 = 6, 8, 9, 4, 3
	isConfig                                                = 1
	maxPackage                                              = 25_000_000
)

// section is one header structure: the values of its tags.
type section map[uint32][]string

var errTorn = errors.New("the package is torn")

// parse reads signature and header of a package; numbers are kept as decimal
// text, as only equality counts here.
func parse(data []byte) (sig, head section, err error) {
	const lead = 96
	if len(data) < lead || !bytes.HasPrefix(data, []byte{0xed, 0xab, 0xee, 0xdb}) {
		return nil, nil, errTorn
	}
	sig, n, err := parseSection(data[lead:])
	if err != nil {
		return nil, nil, err
	}
	at := lead + (n+7)/8*8
	if at > len(data) {
		return nil, nil, errTorn
	}
	head, _, err = parseSection(data[at:])
	return sig, head, err
}

func parseSection(data []byte) (section, int, error) {
	const intro, entry = 16, 16
	if len(data) < intro || !bytes.HasPrefix(data, []byte{0x8e, 0xad, 0xe8, 1}) {
		return nil, 0, errTorn
	}
	count, size := int(binary.BigEndian.Uint32(data[8:])), int(binary.BigEndian.Uint32(data[12:]))
	end := intro + count*entry + size
	if count > 1<<16 || size > 1<<28 || end > len(data) {
		return nil, 0, errTorn
	}
	store, out := data[intro+count*entry:end], section{}
	for i := range count {
		e := data[intro+i*entry:]
		tag, kind := binary.BigEndian.Uint32(e), binary.BigEndian.Uint32(e[4:])
		offset, n := int(binary.BigEndian.Uint32(e[8:])), int(binary.BigEndian.Uint32(e[12:]))
		if offset > len(store) {
			return nil, 0, errTorn
		}
		out[tag] = values(store[offset:], kind, n)
	}
	return out, end, nil
}

func values(data []byte, kind uint32, n int) []string {
	var out []string
	for i := range n {
		switch kind {
		case typeString, typeStrings, typeI18N:
			text, rest, _ := bytes.Cut(data, []byte{0})
			out, data = append(out, string(text)), rest
		case typeInt32:
			out = append(out, strconv.FormatUint(uint64(binary.BigEndian.Uint32(data[4*i:])), 10))
		case typeInt16:
			out = append(out, strconv.FormatUint(uint64(binary.BigEndian.Uint16(data[2*i:])), 10))
		default:
			return []string{"binary"}
		}
	}
	return out
}

// rpmlib4_11 is what rpm 4.11.3 knows of rpmlib().
const rpmlib4_11 = `BuiltinLuaScripts CompressedFileNames ConcurrentAccess ExplicitPackageProvide FileCaps FileDigests HeaderLoadSortsTags
	PartialHardlinkSets PayloadFilesHavePrefix PayloadIsBzip2 PayloadIsLzma PayloadIsXz ScriptletExpansion ScriptletInterpreterArgs
	TildeInVersions VersionedDependencies`

// TestHeader holds a built package against what rpm 4.11 and yum 3.4 can read
// and check.
func TestHeader(t *testing.T) {
	file := os.Getenv("VITRINE_RPM")
	if file == "" {
		t.Skip("VITRINE_RPM names no package: make test-rpm builds one")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > maxPackage {
		t.Errorf("%d bytes: at most %d", len(data), maxPackage)
	}
	sig, head, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	for tag, what := range map[uint32]string{sigRSA: "RSA signature of the header", sigPGP: "RSA signature of header and payload", sigSHA1: "SHA-1 digest", sigSHA256: "SHA-256 digest", sigMD5: "MD5 digest"} {
		if sig[tag] == nil {
			t.Errorf("no %s", what)
		}
	}
	if head[tagPayloadDigest] == nil {
		t.Error("no SHA-256 digest of the payload")
	}
	if got := strings.Join(head[tagCompressor], ","); got != "xz" {
		t.Errorf("payload is %s, not xz", got)
	}
	if got := strings.Join(head[tagFileDigest], ","); got != "8" {
		t.Errorf("files have digests of algorithm %s, not 8 (SHA-256)", got)
	}
	if got := strings.Join(head[tagBuildHost], ","); got != "vitrine.build" {
		t.Errorf("built on %s", got)
	}
	for _, tag := range []uint32{tagRecommends, tagSuggests, tagSupplements, tagEnhances} {
		if head[tag] != nil {
			t.Errorf("weak dependencies, which 4.11 passes over: %v", head[tag])
		}
	}
	feature := regexp.MustCompile(`^rpmlib\((.*)\)$`)
	for _, name := range head[tagRequires] {
		if m := feature.FindStringSubmatch(name); m != nil {
			if !strings.Contains(" "+strings.Join(strings.Fields(rpmlib4_11), " ")+" ", " "+m[1]+" ") {
				t.Errorf("needs %s", name)
			}
		} else if strings.ContainsAny(name, "() ") {
			t.Errorf("a rich dependency: %s", name)
		}
	}
	checkFiles(t, head)
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// checkFiles holds owners, modes and kinds of the files against the rules.
func checkFiles(t *testing.T, head section) {
	t.Helper()
	var names []string
	for i, base := range head[tagBaseNames] {
		names = append(names, head[tagDirNames][number(t, head[tagDirIndexes][i])]+base)
	}
	owned := map[string]bool{}
	for i, name := range names {
		owned[name] = true
		mode, flags := number(t, head[tagModes][i]), number(t, head[tagFlags][i])
		const dirBit, othersWrite, special = 0o040000, 0o022, 0o7000
		if mode&othersWrite != 0 || mode&special != 0 {
			t.Errorf("%s has mode %o", name, mode)
		}
		owner := head[tagUsers][i] + ":" + head[tagGroups][i]
		want := "root:root"
		if strings.HasPrefix(name, "/var/lib/vitrine") {
			want = "vitrine:vitrine"
		}
		if owner != want {
			t.Errorf("%s belongs to %s, not %s", name, owner, want)
		}
		if isFile := mode&dirBit == 0; isFile && strings.HasPrefix(name, "/etc/") && flags&isConfig == 0 {
			t.Errorf("%s is no %%config", name)
		}
	}
	for _, must := range []string{
		"/usr/bin/vitrine", "/usr/lib/systemd/system/vitrine.service", "/etc/vitrine/vitrine.toml", "/etc/vitrine/conf.d", "/var/lib/vitrine/plugins",
		"/usr/share/vitrine/plugins/price-band.wasm", "/usr/share/vitrine/bench/scorer.wasm", "/usr/share/vitrine/ops/prometheus-rules.yml",
		"/usr/share/doc/vitrine/sbom.cdx.json", "/usr/share/doc/vitrine/licences/go/LICENSE", "/usr/share/man/man1/vitrine-serve.1.gz",
		"/usr/share/bash-completion/completions/vitrine", "/usr/lib/firewalld/services/vitrine.xml", "/usr/lib/tmpfiles.d/vitrine.conf",
	} {
		if !owned[must] {
			t.Errorf("%s is missing", must)
		}
	}
	shared := regexp.MustCompile(`^/(etc|usr|var|usr/(bin|lib|share)|etc/sysconfig|var/lib|usr/share/(doc|man|man/man1)|usr/lib/(systemd|tmpfiles\.d)|usr/lib/systemd/system)$`)
	for name := range owned {
		for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
			if !owned[dir] && !shared.MatchString(dir) {
				t.Errorf("%s is in %s, which nobody owns", name, dir)
			}
		}
	}
}
