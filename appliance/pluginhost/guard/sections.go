package guard

import (
	"bytes"
	"encoding/binary"
)

// Sections of the binary format.
const (
	secCustom = iota
	secType
	secImport
	secFunction
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
	secTag
	secEnd
)

// Fixed limits, far above what compilers write.
const (
	maxTypes    = 10_000
	maxArity    = 256 // parameters, or results, of a type
	maxImports  = 1_000
	maxExports  = 10_000
	maxGlobals  = 10_000
	maxTables   = 64
	maxSegments = 100_000
	maxNames    = 1 << 20 // bytes of the custom section with names
	maxBranches = 4_096   // of a function; compiling takes time with their square
	maxWork     = 1 << 20 // locals of a function times its branches
	maxPassed   = 1 << 18 // values that all calls and branches of a function pass
	maxName     = 1_000   // bytes of the name of an import or export
	pageSize    = 1 << 16
)

type funcType struct{ params, results []byte }

// module is the state of Prepare: what was parsed, in index order.
type module struct {
	limits   Limits
	wasm     []byte
	sections [secEnd][]byte // bodies; nil = not there
	offsets  [secEnd]int    // of the bodies in wasm
	names    []byte         // body of the custom section "name"

	types         []funcType
	funcs         []uint32 // type of each function, imported ones first
	importedFuncs int
	imports       []Import
	exports       []Export
	signatures    map[uint32]string // of types, made once each

	pages, maxPages int
	hasMemory       bool
	tables          []table
	tableEntries    int
	globals         int
	elements        int // segments
	data            int // segments

	extraTypes  []byte            // types that the rewriting adds, encoded
	extraCount  int               // number of them
	resultTypes map[string]uint32 // type without parameters, by results
	code        []byte            // the rewritten code section
}

type table struct {
	element  byte
	min, max uint32
}

// order gives the place of a section in the module.
func order(id byte) int {
	switch id {
	case secDataCount:
		return secElement*2 + 1
	case secTag:
		return secMemory*2 + 1
	}
	return int(id) * 2
}

var sectionNames = [secEnd]string{
	"custom", "type", "import", "function", "table", "memory", "global", "export", "start",
	"element", "code", "data", "data count", "tag",
}

// split checks the frame of the module and finds its sections.
func (m *module) split() *Refusal {
	if len(m.wasm) == 0 {
		return refuse("module: empty")
	}
	if len(m.wasm) > m.limits.MaxBytes {
		return refuse("module: %d bytes, the limit is %d", len(m.wasm), m.limits.MaxBytes)
	}
	if len(m.wasm) < 8 || !bytes.Equal(m.wasm[:4], []byte("\x00asm")) {
		return refuse("module: not WebAssembly: it does not begin with \\0asm and a version")
	}
	if v := binary.LittleEndian.Uint32(m.wasm[4:]); v != 1 {
		return refuse("module: version %#x of the binary format, only 1 is supported (components are not)", v)
	}
	r := &reader{b: m.wasm, p: 8, what: "module"}
	last := 0
	for !r.done() && r.err == nil {
		id := r.byte()
		body := r.bytes(r.u32())
		if r.err != nil {
			break
		}
		switch {
		case id == secCustom:
			m.custom(r, body)
		case id == secTag:
			r.fail("exceptions (tag section) are not supported")
		case id >= secEnd:
			r.fail("unknown section %d", id)
		case order(id) <= last:
			r.fail("%s section twice or out of order", sectionNames[id])
		default:
			last = order(id)
			m.sections[id] = body[:len(body):len(body)]
			m.offsets[id] = r.p - len(body)
		}
	}
	return r.err
}

// custom keeps the section with names.
func (m *module) custom(r *reader, body []byte) {
	q := &reader{b: body, base: r.p - len(body), what: "custom section"}
	if name := q.name(); name == "name" && m.names == nil && len(body) <= maxNames {
		m.names = body
	}
	if r.err == nil {
		r.err = q.err
	}
}

// parse reads all sections but the code.
func (m *module) parse() *Refusal {
	m.signatures = make(map[uint32]string)
	m.resultTypes = make(map[string]uint32)
	for _, s := range []struct {
		id    int
		parse func(*reader)
	}{
		{secType, m.parseTypes},
		{secImport, m.parseImports},
		{secFunction, m.parseFunctions},
		{secTable, m.parseTables},
		{secMemory, m.parseMemory},
		{secGlobal, m.parseGlobals},
		{secExport, m.parseExports},
		{secStart, m.parseStart},
		{secDataCount, m.parseDataCount},
		{secElement, m.parseElements},
		{secData, m.parseData},
	} {
		if m.sections[s.id] == nil {
			continue
		}
		r := m.reader(s.id)
		s.parse(r)
		if r.err == nil {
			r.end()
		}
		if r.err != nil {
			return r.err
		}
	}
	return nil
}

func (m *module) reader(id int) *reader {
	return &reader{b: m.sections[id], base: m.offsets[id], what: sectionNames[id] + " section"}
}

// atMost reads the length of a vector and refuses one over limit.
func (r *reader) atMost(limit, least int, things string) int {
	n := r.count(least)
	if n > limit {
		r.fail("%d %s, the limit is %d", n, things, limit)
		return 0
	}
	return n
}

func (m *module) parseTypes(r *reader) {
	n := r.atMost(maxTypes, 3, "types")
	m.types = make([]funcType, n)
	for i := range m.types {
		if form := r.byte(); form != 0x60 && r.err == nil {
			r.fail("type %d is no function type (%#x)", i, form)
		}
		m.types[i] = funcType{params: r.valueTypes(i), results: r.valueTypes(i)}
		if r.err != nil {
			return
		}
		if len(m.types[i].params) == 0 {
			m.resultTypes[string(m.types[i].results)] = uint32(i)
		}
	}
}

func (r *reader) valueTypes(of int) []byte {
	n := r.u32()
	if n > maxArity {
		r.fail("type %d has %d parameters or results, the limit is %d", of, n, maxArity)
		return nil
	}
	b := r.bytes(n)
	for _, t := range b {
		switch {
		case t == 0x63 || t == 0x64:
			r.fail("typed function references (in type %d) are not supported", of)
		case valueTypeName(t) == "":
			r.fail("type %d has a value of unknown type %#x", of, t)
		}
	}
	return b
}

func valueTypeName(t byte) string {
	switch t {
	case 0x7f:
		return "i32"
	case 0x7e:
		return "i64"
	case 0x7d:
		return "f32"
	case 0x7c:
		return "f64"
	case 0x7b:
		return "v128"
	case 0x70:
		return "funcref"
	case 0x6f:
		return "externref"
	}
	return ""
}

// signature gives the text of a function type, as in "(i32) -> (i64)".
func (m *module) signature(index uint32) string {
	if s, ok := m.signatures[index]; ok {
		return s
	}
	list := func(dst, types []byte) []byte {
		dst = append(dst, '(')
		for i, t := range types {
			if i > 0 {
				dst = append(dst, ' ')
			}
			dst = append(dst, valueTypeName(t)...)
		}
		return append(dst, ')')
	}
	s := list(nil, m.types[index].params)
	if results := m.types[index].results; len(results) > 0 {
		s = list(append(s, " -> "...), results)
	}
	m.signatures[index] = string(s)
	return m.signatures[index]
}

// typeIndex reads an index of a function type.
func (m *module) typeIndex(r *reader) uint32 {
	i := r.u32()
	if uint64(i) >= uint64(len(m.types)) {
		r.fail("type %d does not exist", i)
		return 0
	}
	return i
}

func (m *module) parseImports(r *reader) {
	n := r.atMost(maxImports, 4, "imports")
	for range n {
		imp := Import{Module: r.name(), Name: r.name()}
		kind := Kind(r.byte())
		if r.err != nil {
			return
		}
		m.checkImport(r, imp, kind)
		index := m.typeIndex(r)
		if r.err != nil {
			return
		}
		imp.Signature = m.signature(index)
		m.imports = append(m.imports, imp)
		m.funcs = append(m.funcs, index)
	}
	m.importedFuncs = len(m.imports)
}

func (m *module) checkImport(r *reader, imp Import, kind Kind) {
	switch {
	case len(imp.Module) > maxName || len(imp.Name) > maxName:
		r.fail("a name of %d bytes, the limit is %d", max(len(imp.Module), len(imp.Name)), maxName)
	case reserved(imp.Module) || reserved(imp.Name):
		r.fail("import %q.%q: names with %s are reserved", imp.Module, imp.Name, ReservedPrefix)
	case kind == KindTable:
		r.fail("import %q.%q is a table, only functions can be imported", imp.Module, imp.Name)
	case kind == KindMemory:
		r.fail("import %q.%q is a memory, only functions can be imported", imp.Module, imp.Name)
	case kind == KindGlobal:
		r.fail("import %q.%q is a global, only functions can be imported", imp.Module, imp.Name)
	case kind != KindFunction:
		r.fail("import %q.%q is of unknown kind %#x, only functions can be imported", imp.Module, imp.Name, byte(kind))
	case !m.limits.Allowed(imp.Module, imp.Name):
		r.fail("import %q.%q is not offered", imp.Module, imp.Name)
	}
}

func reserved(name string) bool {
	return len(name) >= len(ReservedPrefix) && name[:len(ReservedPrefix)] == ReservedPrefix
}

func (m *module) parseFunctions(r *reader) {
	n := r.atMost(m.limits.MaxFunctions, 1, "functions")
	for range n {
		m.funcs = append(m.funcs, m.typeIndex(r))
		if r.err != nil {
			return
		}
	}
}

// bounds reads the limits of a memory or table.
func (r *reader) bounds(thing string) (least, most uint32, bounded bool) {
	flag := r.byte()
	switch flag {
	case 0, 1:
	case 2, 3:
		r.fail("threads (a shared %s) are not supported", thing)
	case 4, 5, 6, 7:
		r.fail("memory64 (a %s with 64-bit addresses) is not supported", thing)
	default:
		r.fail("the %s has unknown limits %#x", thing, flag)
	}
	least = r.u32()
	if flag == 1 {
		most = r.u32()
		if r.err == nil && most < least {
			r.fail("the %s begins with %d, above its maximum of %d", thing, least, most)
		}
	}
	return least, most, flag == 1
}

func (m *module) parseTables(r *reader) {
	n := r.atMost(maxTables, 3, "tables")
	for range n {
		element := r.byte()
		if element == 0x40 || element == 0x63 || element == 0x64 {
			r.fail("typed function references (a table with an initial value) are not supported")
		} else if element != 0x70 && element != 0x6f && r.err == nil {
			r.fail("a table of unknown type %#x", element)
		}
		least, most, bounded := r.bounds("table")
		if r.err != nil {
			return
		}
		if uint64(least)+uint64(m.tableEntries) > uint64(m.limits.MaxTable) {
			r.fail("tables of %d entries, the limit is %d", uint64(least)+uint64(m.tableEntries), m.limits.MaxTable)
			return
		}
		m.tableEntries += int(least)
		m.tables = append(m.tables, table{element: element, min: least, max: most})
		if !bounded {
			m.tables[len(m.tables)-1].max = 1<<32 - 1
		}
	}
	// The limit holds for all tables together: each may grow by an equal share
	// of what is left.
	if n == 0 {
		return
	}
	share := uint32((m.limits.MaxTable - m.tableEntries) / n)
	for i := range m.tables {
		m.tables[i].max = min(m.tables[i].max, m.tables[i].min+share)
	}
}

func (m *module) parseMemory(r *reader) {
	switch n := r.count(2); {
	case r.err != nil || n == 0:
		return
	case n > 1:
		r.fail("multi-memory (%d memories) is not supported", n)
		return
	}
	least, most, bounded := r.bounds("memory")
	if r.err != nil {
		return
	}
	if uint64(least) > uint64(m.limits.MaxPages) {
		r.fail("a memory of %d pages at the start, the limit is %d", least, m.limits.MaxPages)
		return
	}
	if most > pageSize {
		r.fail("a memory of at most %d pages, the format ends at %d", most, pageSize)
		return
	}
	m.hasMemory, m.pages, m.maxPages = true, int(least), m.limits.MaxPages
	if bounded {
		m.maxPages = min(m.maxPages, int(most))
	}
}

func (m *module) parseGlobals(r *reader) {
	n := r.atMost(maxGlobals, 4, "globals")
	for i := range n {
		if t := r.byte(); valueTypeName(t) == "" && r.err == nil {
			r.fail("global %d is of unknown type %#x (typed references are not supported)", i, t)
		}
		if mutable := r.byte(); mutable > 1 {
			r.fail("global %d is neither constant nor mutable (%#x)", i, mutable)
		}
		m.constant(r)
		if r.err != nil {
			return
		}
	}
	m.globals = n
}

func (m *module) parseExports(r *reader) {
	n := r.atMost(maxExports, 3, "exports")
	m.exports = make([]Export, 0, n)
	known := make(map[string]struct{}, n)
	for range n {
		e := Export{Name: r.name(), Kind: Kind(r.byte())}
		index := r.u32()
		if r.err == nil {
			m.checkExport(r, &e, index)
		}
		if _, twice := known[e.Name]; twice {
			r.fail("export %q twice", e.Name)
		}
		if r.err != nil {
			return
		}
		known[e.Name] = struct{}{}
		m.exports = append(m.exports, e)
	}
}

func (m *module) checkExport(r *reader, e *Export, index uint32) {
	have := 0
	switch e.Kind {
	case KindFunction:
		have = len(m.funcs)
	case KindTable:
		have = len(m.tables)
	case KindMemory:
		if m.hasMemory {
			have = 1
		}
	case KindGlobal:
		have = m.globals
	}
	switch {
	case len(e.Name) > maxName:
		r.fail("a name of %d bytes, the limit is %d", len(e.Name), maxName)
	case reserved(e.Name):
		r.fail("export %q: names with %s are reserved", e.Name, ReservedPrefix)
	case e.Kind > KindGlobal:
		r.fail("export %q is of unknown kind %#x", e.Name, byte(e.Kind))
	case uint64(index) >= uint64(have):
		r.fail("export %q names a thing that does not exist (kind %d, index %d)", e.Name, e.Kind, index)
	case e.Kind == KindFunction:
		e.Signature = m.signature(m.funcs[index])
	}
}

func (m *module) parseStart(r *reader) {
	if i := r.u32(); uint64(i) >= uint64(len(m.funcs)) {
		r.fail("function %d does not exist", i)
	}
}
