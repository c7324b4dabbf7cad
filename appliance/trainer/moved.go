package trainer

// moved are the rows of a part that are another user's than is written there:
// he was merged into that one later.
type moved struct {
	part   int
	owners map[string]int
	names  []string
	// first is the first row of each owner, plus one, as in side.
	first []uint32
	rows  []movedRow
	codes []uint32
}

// movedRow is a row of the unit and its owner's number.
type movedRow struct{ row, owner int }

// add says that the unit's next row, of this number, is owner's.
func (m *moved) add(owner string, row int) {
	n, ok := m.owners[owner]
	if !ok {
		if m.owners == nil {
			m.owners = map[string]int{}
		}
		n = len(m.names)
		m.owners[owner] = n
		m.names, m.first = append(m.names, owner), append(m.first, uint32(row)+1)
	}
	m.rows = append(m.rows, movedRow{row, n})
}

// finish puts the owners' codes into the rows of the unit.
func (m *moved) finish(in *interner, users []uint32) {
	if len(m.rows) == 0 {
		return
	}
	var scratch internScratch
	m.codes = in.codes(m.names, m.first, m.part, &scratch, m.codes)
	for _, r := range m.rows {
		users[r.row] = m.codes[r.owner]
	}
	*m = moved{codes: m.codes}
}
