package guard_test

// pad puts n divisions whose results are dropped at the beginning of every
// function, which moves the machine code after them. Where a short loop lies
// relative to the lines of the instruction cache changes its speed by more than
// what the benchmark wants to see; the average over several positions does not
// depend on that luck.
func pad(wasm []byte, n int) []byte {
	out := append([]byte(nil), wasm[:8]...)
	for p := 8; p < len(wasm); {
		id := wasm[p]
		size, q := uleb(wasm, p+1)
		body := wasm[q : q+size]
		p = q + size
		if id == 10 {
			body = padCode(body, n)
		}
		out = append(putUleb(append(out, id), len(body)), body...)
	}
	return out
}

func padCode(code []byte, n int) []byte {
	funcs, p := uleb(code, 0)
	out := putUleb(nil, funcs)
	for range funcs {
		size, q := uleb(code, p)
		body := code[q : q+size]
		p = q + size
		groups, at := uleb(body, 0)
		for range groups {
			_, at = uleb(body, at)
			at++
		}
		next := append([]byte(nil), body[:at]...)
		for range n {
			next = append(next, 0x41, 1, 0x41, 1, 0x6e, 0x1a)
		}
		next = append(next, body[at:]...)
		out = append(putUleb(out, len(next)), next...)
	}
	return out
}

func uleb(b []byte, p int) (v, next int) {
	for shift := 0; ; shift += 7 {
		v |= int(b[p]&0x7f) << shift
		p++
		if b[p-1] < 0x80 {
			return v, p
		}
	}
}

func putUleb(b []byte, v int) []byte {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}
