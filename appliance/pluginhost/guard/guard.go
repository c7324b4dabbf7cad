// Package guard makes a WebAssembly module that a stranger wrote fit to run in
// this process: it checks everything that can be checked without running it,
// and rewrites it so that it counts its own work and stops when a budget is
// used up. It is bytes in, bytes out: it knows no engine and imports nothing
// of the module but the standard library.
//
// # Checks
//
// Prepare parses all sections strictly and refuses, in one line that names the
// thing and the limit, what is malformed, beyond Limits, or not WebAssembly
// core 2.0: threads, tail calls, exceptions, memory64, several memories, and
// imports that are not allowed functions. The operand types are left to the
// engine, whose compiler checks them. Instructions are written anew in their
// shortest encoding, so an engine that reads numbers more loosely than this
// package cannot see other instructions than the ones that were checked.
// Custom sections are dropped, except the names that make traps readable.
//
// # Fuel
//
// The rewritten module has one more global, a mutable i64 exported as
// FuelGlobal. It is the last global, and every index of the guest was checked
// against the number of its own, so no guest instruction can read or write it.
// The host sets it to a budget before a call and reads what is left after it.
// Every instruction costs a fixed number of units (cost.go), so that a unit is
// 0.1 to 1 ns of work; only loads that miss the caches take more. The counts do
// not depend on machine or engine.
//
// The code of a function is divided into groups. A group has one charge point,
// which takes the cost of the whole group from the fuel and traps when that
// leaves less than nothing. Charge points are the function's entry, the head
// of each loop, and places after branches and joins where enough code follows.
// The division keeps two rules for every instruction i of a group with charge
// point h:
//
//	(1) h dominates i: no path from the function's entry reaches i without
//	    passing h;
//	(2) h and i have the same innermost enclosing loop.
//
// From them follows that a run never does more work than it has paid for.
// WebAssembly has no backward branch but the one to the head of an enclosing
// loop. So between two runs of i in the same call the control has passed the
// head of a loop around i, and thereby entered the innermost one anew; by (2)
// that loop encloses h, and by (1), applied to the piece of path since its
// head, h was passed again before i. Each run of i is thus paid by a run of h
// of its own, in advance. A new call of the function begins with its entry,
// where the same holds. What may happen is that a group is paid of which a
// branch skips a part: small parts have no charge point of their own (cost.go
// bounds them).
//
// Rule (1) holds by construction, as the structure of blocks tells what
// dominates what: code after a conditional branch and code in the arms of an
// if are dominated by the group before it; code after the end of a block, if
// or loop by the group that was current at its beginning, because every
// branch to that end comes from inside.
//
// A charge point other than entries and heads pays without looking whether
// fuel is left, when on every path to it another one looked and no call came
// since, and at most maxDebt units of a function are paid so. All of that is
// passed once at most between two charge points that look, and a callee looks
// first, so at no time has more than maxDebt been used beyond the budget. The
// host sees that as fuel below zero.
//
// An innermost loop without calls is unrolled, up to maxCopies rounds under one
// charge: its copies are groups under the same rules, and the time that is won
// is more than metering costs. The rounds after the last one that ran are paid
// in vain, unrolled units at most for each time that the loop is entered.
//
// Two kinds of work depend on numbers known only when run: bulk operations of
// memory and tables, which pay by length, and growing, which pays by amount.
// The charge stands directly before the instruction.
//
// # Stack
//
// A function that calls others also pays, at its entry, for the stack that its
// frame may take, and gets that back when it returns. So the depth of a
// recursion is bounded by the budget, at no cost to programs that return: all
// frames together take about budget / StackPrice bytes at most.
//
// # What the host must do
//
// Give each call a budget below 1<<62. A guest that trapped is in an undefined
// state: throw it away; its fuel below zero says that the budget was the cause.
// Fuel below zero after a call that returned means the same. Functions of the
// host charge their own work, by changing the global: they run outside the
// count, except for a fixed price per call. Reserve the memory's maximum at
// instantiation (wazero: WithMemoryCapacityFromMax), or each growing copies the
// memory at a price that does not cover it.
package guard

import "fmt"

// FuelGlobal is the exported name of the counter. Names that begin with
// ReservedPrefix are refused in a guest.
const FuelGlobal = "__vitrine_fuel"

// ReservedPrefix begins the names that belong to the host.
const ReservedPrefix = "__vitrine"

// Defaults of Limits.
const (
	DefaultMaxBytes     = 8 << 20
	DefaultMaxPages     = 256 // 16 MiB
	DefaultMaxTable     = 64 << 10
	DefaultMaxFunctions = 50_000
	DefaultMaxBody      = 512 << 10
	DefaultMaxLocals    = 5_000
	DefaultMaxBrTable   = 4_096
	DefaultStartFuel    = 100_000_000
)

// Limits bounds what a module may ask for. A zero means the default.
type Limits struct {
	MaxBytes     int   // size of the module
	MaxPages     int   // memory in pages of 64 KiB: a larger minimum is refused, a larger or missing maximum lowered
	MaxTable     int   // entries of all tables, in the same way
	MaxFunctions int   // functions of its own
	MaxBody      int   // bytes of one function
	MaxLocals    int   // parameters and locals of one function
	MaxBrTable   int   // targets of one br_table
	StartFuel    int64 // fuel at instantiation: the budget of the start function

	// Allowed says which functions of the host a module may import. Nil allows
	// none. Memories, tables and globals cannot be imported.
	Allowed func(module, name string) bool
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		field *int
		value int
	}{
		{&l.MaxBytes, DefaultMaxBytes},
		{&l.MaxPages, DefaultMaxPages},
		{&l.MaxTable, DefaultMaxTable},
		{&l.MaxFunctions, DefaultMaxFunctions},
		{&l.MaxBody, DefaultMaxBody},
		{&l.MaxLocals, DefaultMaxLocals},
		{&l.MaxBrTable, DefaultMaxBrTable},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if l.StartFuel <= 0 {
		l.StartFuel = DefaultStartFuel
	}
	if l.Allowed == nil {
		l.Allowed = func(string, string) bool { return false }
	}
	return l
}

// Kind is what an export is.
type Kind uint8

// The kinds of exports, with the numbers of the binary format.
const (
	KindFunction Kind = iota
	KindTable
	KindMemory
	KindGlobal
)

// Import is a function that the module wants from the host.
type Import struct {
	Module, Name string
	Signature    string // as in "(i32 i32) -> (i64)"; nothing is "()"
}

// Export is something that the module offers.
type Export struct {
	Name      string
	Kind      Kind
	Signature string // of a function, as in Import
}

// Module is a module that passed all checks, rewritten.
type Module struct {
	Wasm      []byte // the rewritten module
	Imports   []Import
	Exports   []Export // those of the guest, without FuelGlobal
	Pages     int      // memory at the start, in pages of 64 KiB; 0 when there is none
	MaxPages  int      // memory at most
	Table     int      // entries of all tables at the start
	Functions int      // functions of its own
	Start     bool     // has a start function, which runs at instantiation
	StartFuel int64    // fuel at instantiation
}

// Refusal is why a module was not accepted, in one line.
type Refusal struct{ Reason string }

// Error is the reason, in one line.
func (r *Refusal) Error() string { return r.Reason }

func refuse(format string, args ...any) *Refusal {
	return &Refusal{Reason: fmt.Sprintf(format, args...)}
}

// Prepare checks a module and rewrites it to count its work. The error is a
// *Refusal. The same bytes and limits always give the same result.
func Prepare(wasm []byte, limits Limits) (*Module, error) {
	limits = limits.withDefaults()
	m := &module{limits: limits, wasm: wasm}
	for _, step := range []func() *Refusal{m.split, m.parse, m.meter} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return &Module{
		Wasm:      m.assemble(),
		Imports:   m.imports,
		Exports:   m.exports,
		Pages:     m.pages,
		MaxPages:  m.maxPages,
		Table:     m.tableEntries,
		Functions: len(m.funcs) - m.importedFuncs,
		Start:     m.sections[secStart] != nil,
		StartFuel: limits.StartFuel,
	}, nil
}
