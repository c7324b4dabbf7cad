// Package abi holds the names, numbers and memory layout that the Vitrine host
// and every plugin share: ABI 0. docs/ABI.md says the same in prose.
//
// It is a leaf: it imports nothing of Vitrine, and of the standard library only
// what a small WebAssembly guest can carry. The host, the Go SDK and the tests
// of all three use it; other languages copy its numbers.
//
// # Module
//
// A plugin is one WebAssembly module (core 2.0; no threads, memory64 or
// several memories). Addresses and lengths are i32 read as unsigned. Everything
// in memory is little endian. The module exports
//
//	memory                                  its one memory
//	_initialize()                           optional; run once, before all else
//	vitrine_abi() -> i32                    the ABI number, Version
//	vitrine_describe() -> i64               address<<32 | length of the manifest
//	vitrine_buffer(length) -> i32           address of length bytes the host may fill; 0 = no memory
//	vitrine_configure(address, length) -> i32   0, or a negative code
//	vitrine_reserve(rows) -> i32            address of a frame for rows rows; 0 = no memory
//	vitrine_feature(frame) -> i32           one for each kind that the manifest
//	vitrine_scorer(frame) -> i32            names; others may be exported and
//	vitrine_filter(frame) -> i32            are never called
//	vitrine_rerank(frame) -> i32
//	vitrine_source(frame) -> i32
//	vitrine_event(frame) -> i32
//
// Names beginning with "__vitrine" belong to the host; a module that exports
// one is refused.
//
// # Life of an instance
//
//  1. The host instantiates the module, calls _initialize if there is one, then
//     vitrine_abi. Another number than Version: refused.
//  2. vitrine_describe. The bytes stay as they are until the next call into the
//     instance; the host copies them, and expects the same from every instance.
//  3. vitrine_buffer with the length of the configuration, which the host
//     writes to the address, then vitrine_configure with both. The bytes are
//     the guest's only during that call. A negative answer refuses the
//     configuration; the last message that the guest logged at LevelError in
//     the call is the reason shown to the operator.
//  4. vitrine_reserve with a multiple of RowAlign, at most MaxRows. The host
//     checks the frame (ReadLayout) and remembers where everything is; it never
//     trusts the header again. Asked again only for more rows; the old frame
//     is dead then.
//  5. vitrine_KIND with the address of the frame, as often as requests come.
//     The instance does one call at a time. A guest must allocate nothing here.
//
// Steps 3 and 4 may come again between two calls of step 5. A trap, a call over
// budget, or proc_exit ends the instance: the host throws it away and makes
// another. A negative return code of step 5 is a failed call whose outputs are
// dropped; the instance lives on.
//
// A plugin must give the same answer for the same configuration and frame: the
// host may use any instance for any request, and may call it at load with made
// up frames to measure it.
//
// # Frame
//
// A frame is one block of memory at an address that is a multiple of 64: the
// header, the column table, the row arrays and the columns. Offsets count from
// the frame's address. Every array and column begins at a multiple of 64 and
// has room for rows rounded up to RowAlign, so that vector loops need no tail.
// NewLayout is the order that the Go SDK uses; any order without overlap is
// valid, and it may differ from one vitrine_reserve to the next.
//
//	off  type  name     set by  meaning
//	  0  u32   magic    guest   Magic, the bytes "VTPF"
//	  4  u32   abi      guest   Version
//	  8  u32   size     guest   bytes of the frame, all included
//	 12  u32   cap      guest   rows it has room for: the argument of vitrine_reserve
//	 16  u32   columns  guest   entries of the column table
//	 20  u32   table    guest   offset of the column table, a multiple of 8
//	 24  u32   item     guest   offset of u32[cap], item codes
//	 28  u32   score    guest   offset of f32[cap]
//	 32  u32   mask     guest   offset of u8[cap], 1 = kept, 0 = dropped
//	 36  u32   out      guest   offset of u32[cap], results of rerank and source
//	 40  u32   n        host    rows of this call, 1..cap (source: 0..cap)
//	 44  u32   show     host    items that the answer will show; 0 = not known
//	 48  u32   kind     host    the Kind of this call
//	 52  u32   flags    host    FlagUser ...
//	 56  i64   now      host    time of the request, Unix milliseconds
//	 64  u64   seed     host    for choices at random: the same for every call of a request
//	 72  u32   user     host    the visitor's code, NoUser when unknown; not kept across restarts
//	 76  u32   scene    host    dictionary code of the scene, 0 = none
//	 80  48 bytes       guest   zero
//
// "guest" fields are written by vitrine_reserve, "host" fields before each
// call. A guest must not write the header during a call.
//
// The column table has one entry of ColumnSize bytes for each column of the
// manifest: those it reads, in order, then those it writes, in order.
//
//	off  type  name     meaning
//	  0  u16   id       index in the table
//	  2  u8    type     a Type
//	  3  u8    scope    a Scope
//	  4  u32   offset   of its values, a multiple of 64
//
// A column of ScopeUser has one value (and 64 bytes of room). All others have a
// value per row.
//
// Before each call the host writes the header's host fields, item, score, mask
// and every column read; rows n up to the next multiple of RowAlign are zero
// bytes in all of them. Columns written and out hold what the last call left.
// Row order has no meaning, except in rerank and source. Rows with mask 0 were
// dropped by an earlier stage: they are there, and what is written for them is
// ignored. Batches of more than MaxRows are split, except for rerank.
//
//	kind     rows                         guest writes               returns
//	feature  candidates                   every column it declares   0
//	scorer   candidates                   score in place, finite     0
//	filter   candidates                   mask, 0 or 1; a 0 stays 0  0
//	rerank   best candidates, best first  out: a permutation of the
//	                                      row numbers 0..n-1         0
//	source   the visitor's items, latest  out: item codes, score:    their number,
//	         first                        one each, finite           0..cap
//	event    events                       mask, and score: the
//	                                      weight, finite and >= 0    0
//
// In an event call item and score are the event's item and its configured
// weight. Feature, scorer and filter work in ABI 0; the other three have their
// numbers and layout, and a module that names one is refused until they do.
// The kinds of one module run in the order of the numbers, each as a call of
// its own: a scorer that reads a column which its own feature writes lists it
// under both reads and writes.
//
// # Values
//
//	type  bytes  absent
//	f32   4      NaN (any NaN)
//	i32   4      0
//	u8    1      0
//	code  4      0
//
// Attributes of items and users come as f32 (numbers; truth values as 0 or 1)
// or code (texts). A number read as code, or a text read as f32, is absent.
// Columns that a feature writes are f32, i32 or u8; read under ScopeFeature
// with the same name and type, or they are absent; they are absent also while
// no active plugin writes them. One active plugin writes a name; a second one
// is refused. An infinite f32 is an error, NaN is absent.
//
// Texts are numbers from one dictionary for all columns of all scopes: equal
// texts have equal codes, so a user's region compares with an item's by ==.
// Codes do not survive a restart of the host. In vitrine_configure the guest
// asks dict for the codes of texts it knows from its configuration. 0 says that
// no item or user has that text yet; the host remembers the question and calls
// vitrine_configure again, with the same bytes, once the text has appeared.
//
// # Imports
//
// Module "vitrine":
//
//	log(level i32, address i32, length i32)             one line; cut at MaxLog bytes a call
//	dict(column i32, address i32, length i32) -> i32    code of a text; column is an index
//	                                                    of the table, of type code
//
// A range outside the memory traps. dict answers 0 for a wrong column and
// outside vitrine_configure.
//
// Module "wasi_snapshot_preview1", just what a plain Go guest needs; the
// result is an errno, 0 = done:
//
//	args_sizes_get(i32, i32) -> i32         writes 0 and 0
//	args_get(i32, i32) -> i32               writes nothing
//	environ_sizes_get(i32, i32) -> i32      writes 0 and 0
//	environ_get(i32, i32) -> i32            writes nothing
//	clock_time_get(i32, i64, i32) -> i32    frozen: realtime (0) is now of the running call;
//	                                        every other clock, and realtime at load, is 1 s
//	fd_write(i32, i32, i32, i32) -> i32     1 and 2 go to log; other files 8 (badf)
//	random_get(i32, i32) -> i32             a generator seeded with seed of the running call,
//	                                        with 0 at load
//	poll_oneoff(i32, i32, i32, i32) -> i32  every subscription is due at once
//	sched_yield() -> i32                    0
//	proc_exit(i32)                          traps
//
// Any other import refuses the module, and the reason names it.
//
// # Manifest
//
// vitrine_describe answers one JSON object in UTF-8, at most MaxManifest bytes.
// Manifest is its Go form; unknown fields are refused.
//
//	{
//	 "name": "price-band",                  [a-z0-9-], 1..64, begins with a letter
//	 "version": "1.0.0",                    semantic version
//	 "summary": "one line for listings",    optional
//	 "kinds": ["scorer"],                   at least one, none twice
//	 "reads": [{"name": "price", "scope": "item", "type": "f32"}],
//	 "writes": [{"name": "recency", "scope": "feature", "type": "f32"}],
//	 "config": [{"key": "low", "type": "number", "default": 10, "help": "lower edge"}],
//	 "fuel": {"base": 4000, "per_item": 60},
//	 "pages": 64
//	}
//
// Scopes are item, user, feature, event (event only together with that kind);
// types f32, i32, u8, code. Column names follow attribute names:
// [A-Za-z_][A-Za-z0-9_.-]*, 1..64 bytes; no (scope, name) twice among reads, no
// name twice among writes; writes need the kind feature. There are at most
// MaxColumns columns. Config types are number, text, flag, texts (an array of
// strings); the default has that type, or is null: then the operator must give
// the key. The configuration handed to vitrine_configure is a JSON object with
// every declared key, the operator's value or the default, and no other.
//
// Fuel is what the author says a call of n rows costs at most, base + per_item
// x n, in the host's units (about one WebAssembly instruction); 0 and 0 let the
// host measure it. Pages is the memory the plugin may come to need, in pages of
// 64 KiB; 0 is the host's default. The host's own limits stand in any case.
package abi

// Version is what vitrine_abi returns: major<<16 | minor.
const Version = 0

// Limits of ABI 0.
const (
	// MaxRows is the most rows that vitrine_reserve is asked for.
	MaxRows = 4096
	// MaxColumns is the most columns of one plugin, read and written.
	MaxColumns = 256
	// MaxManifest is the most bytes of a manifest.
	MaxManifest = 64 << 10
	// MaxLog is the most bytes that the host keeps of the log lines of one call.
	MaxLog = 1024
)

// Names of exports. The export of a kind is Kind.Export.
const (
	ExportMemory     = "memory"
	ExportInitialize = "_initialize"
	ExportABI        = "vitrine_abi"
	ExportDescribe   = "vitrine_describe"
	ExportBuffer     = "vitrine_buffer"
	ExportConfigure  = "vitrine_configure"
	ExportReserve    = "vitrine_reserve"
	// ReservedPrefix begins names that only the host may use.
	ReservedPrefix = "__vitrine"
)

// Names of imports.
const (
	HostModule = "vitrine"
	ImportLog  = "log"
	ImportDict = "dict"
	WASIModule = "wasi_snapshot_preview1"
)

// Import is a function that the host offers, with its WebAssembly types:
// "i" is i32 and "I" is i64.
type Import struct{ Module, Name, Params, Results string }

// Imports is every function that a module of ABI 0 may import.
func Imports() []Import {
	return []Import{
		{HostModule, ImportLog, "iii", ""},
		{HostModule, ImportDict, "iii", "i"},
		{WASIModule, "args_sizes_get", "ii", "i"},
		{WASIModule, "args_get", "ii", "i"},
		{WASIModule, "environ_sizes_get", "ii", "i"},
		{WASIModule, "environ_get", "ii", "i"},
		{WASIModule, "clock_time_get", "iIi", "i"},
		{WASIModule, "fd_write", "iiii", "i"},
		{WASIModule, "random_get", "ii", "i"},
		{WASIModule, "poll_oneoff", "iiii", "i"},
		{WASIModule, "sched_yield", "", "i"},
		{WASIModule, "proc_exit", "i", ""},
	}
}

// Levels of log.
const (
	LevelDebug = 0
	LevelInfo  = 1
	LevelWarn  = 2
	LevelError = 3
)

// Return codes of vitrine_configure and of the kinds. Any other negative code
// counts as Failed.
const (
	OK int32 = 0
	// Failed is any error that has no number of its own.
	Failed int32 = -1
	// BadConfig says that a configuration value cannot be used.
	BadConfig int32 = -2
	// NotReady says that a call came before vitrine_reserve.
	NotReady int32 = -3
	// NoSuchKind says that the plugin does not do this kind.
	NoSuchKind int32 = -4
)

// Kind is what a plugin does in a request.
type Kind uint8

// The kinds, in the order in which they run.
const (
	Feature Kind = 1
	Scorer  Kind = 2
	Filter  Kind = 3
	Rerank  Kind = 4
	Source  Kind = 5
	Event   Kind = 6
)

// Scope says whose values a column holds.
type Scope uint8

// The scopes. Item and user have the numbers of the host's own scopes.
const (
	ScopeItem    Scope = 1
	ScopeUser    Scope = 2
	ScopeFeature Scope = 3
	ScopeEvent   Scope = 4
)

// Type is what the values of a column are.
type Type uint8

// The types.
const (
	F32  Type = 1
	I32  Type = 2
	U8   Type = 3
	Code Type = 4
)

var (
	kindNames  = [...]string{Feature: "feature", Scorer: "scorer", Filter: "filter", Rerank: "rerank", Source: "source", Event: "event"}
	scopeNames = [...]string{ScopeItem: "item", ScopeUser: "user", ScopeFeature: "feature", ScopeEvent: "event"}
	typeNames  = [...]string{F32: "f32", I32: "i32", U8: "u8", Code: "code"}
)

// String is the kind's name in a manifest.
func (k Kind) String() string { return name(kindNames[:], int(k)) }

// Works says whether hosts of this ABI call plugins of that kind.
func (k Kind) Works() bool { return k >= Feature && k <= Filter }

// Export is the name of the function that does this kind.
func (k Kind) Export() string { return "vitrine_" + k.String() }

// MarshalText writes the name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the name.
func (k *Kind) UnmarshalText(text []byte) error {
	i, err := number("kind", kindNames[:], text)
	*k = Kind(i)
	return err
}

// String is the scope's name in a manifest.
func (s Scope) String() string { return name(scopeNames[:], int(s)) }

// MarshalText writes the name.
func (s Scope) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the name.
func (s *Scope) UnmarshalText(text []byte) error {
	i, err := number("scope", scopeNames[:], text)
	*s = Scope(i)
	return err
}

// String is the type's name in a manifest.
func (t Type) String() string { return name(typeNames[:], int(t)) }

// Size is the bytes of one value.
func (t Type) Size() int {
	if t == U8 {
		return 1
	}
	return 4
}

// MarshalText writes the name.
func (t Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads the name.
func (t *Type) UnmarshalText(text []byte) error {
	i, err := number("type", typeNames[:], text)
	*t = Type(i)
	return err
}

// Error is a message. The package has its own because guests cannot use fmt.
type Error string

func (e Error) Error() string { return string(e) }

func name(names []string, i int) string {
	if i <= 0 || i >= len(names) {
		return "unknown"
	}
	return names[i]
}

func number(what string, names []string, text []byte) (int, error) {
	for i, n := range names {
		if i > 0 && n == string(text) {
			return i, nil
		}
	}
	return 0, Error("unknown " + what + " \"" + string(text) + "\"")
}
