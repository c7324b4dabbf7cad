package guard

// assemble writes the module anew. Sections that did not change are copied.
func (m *module) assemble() []byte {
	out := make([]byte, 0, len(m.code)+len(m.wasm)-len(m.sections[secCode])+256)
	out = append(out, m.wasm[:8]...)
	for _, id := range []byte{
		secType, secImport, secFunction, secTable, secMemory, secGlobal, secExport, secStart,
		secElement, secDataCount, secCode, secData,
	} {
		switch id {
		case secType:
			out = m.extend(out, id, m.extraCount, m.extraTypes)
		case secTable:
			out = m.assembleTables(out)
		case secMemory:
			out = m.assembleMemory(out)
		case secGlobal:
			g := appendInt([]byte{0x7e, 1, opI64Const}, m.limits.StartFuel)
			out = m.extend(out, id, 1, append(g, opEnd))
		case secExport:
			e := appendUint(nil, uint64(len(FuelGlobal)))
			e = append(append(e, FuelGlobal...), byte(KindGlobal))
			out = m.extend(out, id, 1, appendUint(e, uint64(m.globals)))
		case secCode:
			if m.code != nil {
				out = appendSection(out, id, m.code)
			}
		default:
			if m.sections[id] != nil {
				out = appendSection(out, id, m.sections[id])
			}
		}
	}
	if m.names != nil {
		out = appendSection(out, secCustom, m.names)
	}
	return out
}

// extend writes a section that is a vector, with entries added at its end.
func (m *module) extend(out []byte, id byte, more int, entries []byte) []byte {
	if m.sections[id] == nil && more == 0 {
		return out
	}
	r := &reader{b: m.sections[id]}
	n := 0
	if len(r.b) > 0 {
		n = int(r.u32())
	}
	body := appendUint(make([]byte, 0, len(r.b)+len(entries)+5), uint64(n+more))
	body = append(body, r.b[r.p:]...)
	return appendSection(out, id, append(body, entries...))
}

func (m *module) assembleTables(out []byte) []byte {
	if len(m.tables) == 0 {
		return out
	}
	body := appendUint(nil, uint64(len(m.tables)))
	for _, t := range m.tables {
		body = append(body, t.element, 1)
		body = appendUint(body, uint64(t.min))
		body = appendUint(body, uint64(t.max))
	}
	return appendSection(out, secTable, body)
}

func (m *module) assembleMemory(out []byte) []byte {
	if !m.hasMemory {
		return out
	}
	body := appendUint([]byte{1, 1}, uint64(m.pages))
	return appendSection(out, secMemory, appendUint(body, uint64(m.maxPages)))
}
