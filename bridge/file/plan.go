package file

import (
	"errors"
	"slices"
	"strings"
	"unsafe"

	"vitrine/bridge/event"
	"vitrine/bridge/file/stream"
	"vitrine/internal/expr"
	"vitrine/internal/nearest"
)

// source is where a field comes from in every row.
type source struct {
	col  int // the column; -1 for a constant
	text cell
}

// fieldSource and attrSource are the sources of the fields and attributes that
// a file gives; what it does not give is not listed.
type fieldSource struct {
	field  field
	source source
}

type attrSource struct {
	name   string
	source source
}

// plan is a Spec resolved against the columns of one file.
type plan struct {
	cols   *columns
	fields []fieldSource
	attrs  []attrSource
	// rest makes every column that is no field an attribute; taken marks the
	// columns that are fields.
	rest        bool
	taken       map[int]bool
	where       *filter
	removeWhere *filter
}

// newPlan resolves what was asked for; all its faults name the columns.
func newPlan(rows rowReader, spec *Spec) (*plan, error) {
	p := &plan{cols: rows.columns(), taken: map[int]bool{}}
	var mapped [numFields]bool
	for i := range spec.Map {
		if err := p.mapField(spec, &spec.Map[i], &mapped); err != nil {
			return nil, err
		}
	}
	if csv, ok := rows.(*csvRows); ok && csv.bare {
		if err := p.mapBare(spec, &mapped); err != nil {
			return nil, err
		}
	}
	if len(p.attrs) > event.MaxAttributes {
		return nil, mapErrorf("%d attributes are mapped, there may be at most %d", len(p.attrs), event.MaxAttributes)
	}
	var err error
	if p.where, err = newFilter(spec, "where", spec.Where, p.cols); err != nil {
		return nil, err
	}
	if p.removeWhere, err = newFilter(spec, "remove-where", spec.RemoveWhere, p.cols); err != nil {
		return nil, err
	}
	if spec.Kind != Events && p.removeWhere != nil {
		return nil, inputErrorf("", stream.CodeInvalidExpr, "remove-where makes events, it does not apply to items or users")
	}
	json, _ := rows.(*jsonRows)
	if err := p.checkRequired(spec, &mapped, json != nil); err != nil {
		return nil, err
	}
	for f := range numFields {
		if mapped[f] || !spec.Kind.allows(f) {
			continue
		}
		col, found := p.cols.index[fieldNames[f]]
		switch {
		case found && col < 0:
			return nil, p.twice(spec, fieldNames[f])
		case found:
		case json != nil:
			// A later row may have it.
			col = p.cols.add(fieldNames[f])
		default:
			continue
		}
		p.fields = append(p.fields, fieldSource{f, source{col: col}})
		p.taken[col] = true
	}
	if spec.Kind != Events && len(p.attrs) == 0 {
		p.rest = true
		if json != nil {
			json.open = true
		} else if err := p.checkNames(spec); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// mapField resolves one entry of the mapping.
func (p *plan) mapField(spec *Spec, m *Mapping, mapped *[numFields]bool) error {
	src := source{col: -1, text: cell{cellText, []byte(m.Text)}}
	if !m.Constant {
		col, err := p.resolve(spec, m.Column, "map "+m.Field)
		if err != nil {
			return err
		}
		src.col = col
	}
	if name, attr := strings.CutPrefix(m.Field, attrPrefix); attr {
		p.attrs = append(p.attrs, attrSource{name, src})
		return nil
	}
	f := fieldNumber(m.Field)
	if f < 0 || !spec.Kind.allows(f) {
		return mapErrorf("%s has no field %q; its fields are %s", kinds[spec.Kind].noun, clip(m.Field, 64), listNames(fieldsOf(spec.Kind)))
	}
	mapped[f] = true
	p.taken[src.col] = true
	p.fields = append(p.fields, fieldSource{f, src})
	return nil
}

// resolve finds a column that the user has named.
func (p *plan) resolve(spec *Spec, name, where string) (int, error) {
	col, found := p.cols.index[name]
	if found && col >= 0 {
		return col, nil
	}
	if found {
		return 0, p.twice(spec, name)
	}
	noun := p.cols.noun
	err := inputErrorf(spec.Name, stream.CodeUnknownColumn, "%s: no %s %q; the %ss are %s",
		where, noun, clip(name, 64), noun, listNames(p.cols.names))
	if n := nearest.Name(name, p.cols.names); n != "" {
		err = err.WithHint("nearest %s: %s", noun, n)
	}
	return 0, err
}

func (p *plan) twice(spec *Spec, name string) error {
	return inputErrorf(spec.Name, stream.CodeUnknownColumn, "the %s %q stands twice in the header", p.cols.noun, clip(name, 64))
}

// checkRequired refuses a file none of whose rows could count. In NDJSON a
// field that the first rows lack may be in later ones, so there only a file
// that shows none of them is refused.
func (p *plan) checkRequired(spec *Spec, mapped *[numFields]bool, json bool) error {
	required := kinds[spec.Kind].required
	var missing []field
	for _, f := range required {
		if _, found := p.cols.index[fieldNames[f]]; !found && !mapped[f] && (f != fieldType || spec.Type == "") {
			missing = append(missing, f)
		}
	}
	if len(missing) == 0 || json && (len(missing) < len(required) || len(p.cols.names) == 0) {
		return nil
	}
	name := fieldNames[missing[0]]
	err := inputErrorf(spec.Name, stream.CodeUnknownColumn, "no %s %q and no mapping for it; the %ss are %s",
		p.cols.noun, name, p.cols.noun, listNames(p.cols.names))
	if missing[0] == fieldType {
		return err.WithHint("--map %s=COLUMN, or --map %s==view when all rows are of one type", name, name)
	}
	if n := nearest.Name(name, p.cols.names); n != "" && !slices.Contains(fieldNames[:], n) {
		return err.WithHint("--map %s=%s", name, n)
	}
	return err.WithHint("--map %s=COLUMN", name)
}

// checkNames refuses columns that cannot be attributes by their own name.
func (p *plan) checkNames(spec *Spec) error {
	var bad []string
	for col, name := range p.cols.names {
		if p.taken[col] {
			continue
		}
		if p.cols.index[name] < 0 {
			return p.twice(spec, name)
		}
		if !validAttributeName(name) {
			bad = append(bad, `"`+name+`"`)
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return inputErrorf(spec.Name, stream.CodeInvalidMap, "these columns cannot be attributes by their own name: %s", listNames(bad)).
		WithHint("name the wanted ones: --map 'attr.name=%s,...'", strings.Trim(bad[0], `"`))
}

// filter is an expression over the columns of a file.
type filter struct {
	program *expr.Program
	cols    []int
	row     *row
	get     func(slot int) expr.Value
}

// newFilter compiles src; nil when it is empty.
func newFilter(spec *Spec, flag, src string, cols *columns) (*filter, error) {
	if strings.TrimSpace(src) == "" {
		return nil, nil
	}
	program, err := expr.Compile(src)
	if err != nil {
		fault := inputErrorf("", stream.CodeInvalidExpr, "%s: %v", flag, err)
		var syntax *expr.SyntaxError
		if errors.As(err, &syntax) {
			fault.Pos = syntax.Pos
		}
		return nil, fault.WithHint(`such as: price > 10 && brand in ["a", "b"]`)
	}
	f := &filter{program: program}
	for _, name := range program.Names() {
		col, err := (&plan{cols: cols}).resolve(spec, name, flag)
		if err != nil {
			return nil, err
		}
		f.cols = append(f.cols, col)
	}
	f.get = f.value // once: a method value allocates
	return f, nil
}

// holds evaluates the filter for a row.
func (f *filter) holds(r *row) bool {
	f.row = r
	return f.program.Eval(f.get)
}

func (f *filter) value(slot int) expr.Value {
	col := f.cols[slot]
	if col >= len(f.row.cells) {
		return expr.Value{}
	}
	c := &f.row.cells[col]
	switch c.kind {
	case cellAbsent:
		return expr.Value{}
	case cellBool:
		return expr.Value{Kind: expr.Bool, Bool: c.text[0] == 't'}
	case cellArray:
		var set []string
		if list, inv := parseAttribute("set", c.text); inv == nil {
			set = list.Set
		}
		return expr.Value{Kind: expr.Set, Set: set}
	}
	// The view does not outlive the evaluation, and the row stays as it is
	// meanwhile; a copy per cell would cost more than the comparison.
	return expr.Value{Kind: expr.String, Str: unsafe.String(unsafe.SliceData(c.text), len(c.text))}
}
