package guard_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"vitrine/appliance/pluginhost/guard"
)

// program writes random functions () -> i32 that always end. Global 0 counts
// down at every backward branch and call; global 1 gathers a hash of the path
// that was taken.
type program struct {
	*rand.Rand
	out    []byte
	labels []byte // of open blocks: 'b' without result, 'v' with an i32, 'l' loop
	size   int    // statements still to be written in this function
}

func (p *program) emit(b ...byte) { p.out = append(p.out, b...) }

// value pushes an i32.
func (p *program) value() {
	switch p.IntN(4) {
	case 0:
		p.emit(0x41, byte(p.IntN(64)))
	case 1:
		p.emit(0x20, byte(p.IntN(3)))
	case 2: // a little of the hash
		p.emit(0x23, 1, 0x41, byte(p.IntN(16)), 0x76, 0x41, 1, 0x71)
	default:
		p.emit(0x20, byte(p.IntN(3)), 0x41, byte(p.IntN(64)), 0x6a)
	}
}

// mark changes the hash: hash = hash*33 + number.
func (p *program) mark() {
	p.emit(0x23, 1, 0x41, 33, 0x6c, 0x41, byte(p.IntN(64)), 0x6a, 0x24, 1)
}

// countDown leaves on the stack whether there is still something to count.
func (p *program) countDown() {
	p.emit(0x23, 0, 0x41, 1, 0x6b, 0x24, 0, 0x23, 0, 0x41, 0, 0x4a)
}

// branch writes a branch to a random label; those that go backward or take a
// value are conditional.
func (p *program) branch() {
	to := p.IntN(len(p.labels))
	switch p.labels[len(p.labels)-1-to] {
	case 'l':
		p.countDown()
		p.emit(0x0d, byte(to))
	case 'v':
		p.value()
		p.value()
		p.emit(0x0d, byte(to), 0x1a)
	default:
		if p.value(); p.IntN(4) > 0 {
			p.emit(0x0d, byte(to))
			return
		}
		p.emit(0x04, 0x40, 0x0c, byte(to+1), 0x0b)
	}
}

// table writes a br_table to labels without value and direction.
func (p *program) table() {
	var labels []byte
	for i := range p.labels {
		if p.labels[len(p.labels)-1-i] == 'b' {
			labels = append(labels, byte(i+1))
		}
	}
	p.emit(0x02, 0x40) // so that there is at least one label
	p.value()
	p.emit(0x0e, byte(len(labels)))
	p.emit(append(labels, 0)...)
	p.emit(0x0b)
}

func (p *program) nest(op, label byte, typ byte) {
	p.labels = append(p.labels, label)
	p.emit(op, typ)
	p.statements()
	if op == 0x04 && p.IntN(2) == 0 {
		p.emit(0x05)
		p.statements()
	}
	if label == 'l' && p.IntN(4) > 0 {
		p.countDown()
		p.emit(0x0d, 0)
	}
	if typ == 0x7f {
		p.value()
	}
	p.emit(0x0b)
	p.labels = p.labels[:len(p.labels)-1]
}

func (p *program) statements() {
	for n := p.IntN(5); n >= 0 && p.size > 0; n-- {
		p.size--
		p.statement()
	}
}

func (p *program) statement() {
	switch deep := len(p.labels) > 8; p.IntN(12) {
	case 0, 1:
		p.mark()
	case 2:
		p.value()
		p.emit(0x21, byte(p.IntN(3)))
	case 3, 4:
		p.branch()
	case 5:
		p.table()
	case 6: // call the next function, or this one
		p.countDown()
		p.emit(0x04, 0x40, 0x10, byte(p.IntN(3)), 0x21, 1, 0x0b)
	case 7:
		p.value()
		p.emit(0x04, 0x40)
		p.value()
		p.emit(0x0f, 0x0b) // return
	case 8:
		if !deep {
			p.nest(0x02, 'b', 0x40)
		}
	case 9:
		if !deep {
			p.value()
			p.nest(0x04, 'b', 0x40)
		}
	case 10:
		if !deep {
			p.nest(0x02, 'v', 0x7f)
			p.emit(0x21, 2)
		}
	default:
		if deep {
			return
		}
		if p.IntN(2) == 0 {
			p.nest(0x03, 'l', 0x40)
		} else {
			p.nest(0x03, 'l', 0x7f)
			p.emit(0x21, 0)
		}
	}
}

// module writes three functions; the first is exported.
func (p *program) module() []byte {
	code := []byte{3}
	for range 3 {
		p.out, p.labels, p.size = []byte{1, 3, 0x7f}, []byte{'v'}, 40
		p.statements()
		p.statements()
		p.mark()
		p.emit(0x23, 1, 0x0b)
		code = append(putUleb(code, len(p.out)), p.out...)
	}
	m := []byte("\x00asm\x01\x00\x00\x00" +
		"\x01\x05\x01\x60\x00\x01\x7f" + // type () -> i32
		"\x03\x04\x03\x00\x00\x00" + // three functions
		"\x06\x0c\x02\x7f\x01\x41\xe4\x00\x0b\x7f\x01\x41\x01\x0b" + // globals: 100, 1
		"\x07\x07\x01\x03run\x00\x00")
	return append(putUleb(append(m, 10), len(code)), code...)
}

// TestRandomPrograms: whatever the control flow, results stay the same, and a
// run pays for at least what it does.
func TestRandomPrograms(t *testing.T) {
	ctx := context.Background()
	programs := 1200
	if testing.Short() {
		programs = 200
	}
	paid, worth := int64(0), int64(0)
	for seed := range programs {
		rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
		if seed%20 == 0 {
			rt = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler())
		}
		p := &program{Rand: rand.New(rand.NewPCG(uint64(seed), 7))}
		wasm := p.module()
		mod, err := guard.Prepare(wasm, guard.Limits{})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		naive, err := guard.Naive(wasm, guard.Limits{})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		var results [3]string
		var used [3]int64
		for i, code := range [][]byte{wasm, mod.Wasm, naive} {
			instance, err := rt.Instantiate(ctx, code)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			const budget = 1 << 40
			fuel, metered := instance.ExportedGlobal(guard.FuelGlobal).(api.MutableGlobal)
			if metered {
				fuel.Set(budget)
			}
			result, err := instance.ExportedFunction("run").Call(ctx)
			if metered {
				used[i] = budget - int64(fuel.Get())
			}
			results[i] = fmt.Sprint(result, err)
			_ = instance.Close(ctx)
		}
		if results[1] != results[0] || results[2] != results[0] {
			t.Errorf("seed %d: plain, metered and naive give %q", seed, results)
		}
		if used[1] < used[2] {
			t.Errorf("seed %d: paid %d for work of %d", seed, used[1], used[2])
		}
		if used[1] > 20*used[2]+1000 {
			t.Errorf("seed %d: paid %d for work of %d", seed, used[1], used[2])
		}
		paid, worth = paid+used[1], worth+used[2]
		_ = rt.Close(ctx)
	}
	t.Logf("paid %d for work of %d", paid, worth)
}
