package model

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// Float32s is a section holding little-endian IEEE 754 single precision
// numbers. On little-endian machines it aliases v.
func Float32s(name string, v []float32) Section {
	if littleEndian() {
		return Section{name, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))}
	}
	data := make([]byte, 0, 4*len(v))
	for _, x := range v {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
	}
	return Section{name, data}
}

// Float32s returns section name as exactly n finite numbers. On little-endian
// machines they alias the file's memory and must not be changed.
func (f *File) Float32s(name string, n int) ([]float32, error) {
	data, ok := f.Section(name)
	if !ok {
		return nil, f.Corrupt("section %s is missing", name)
	}
	// Divided, not multiplied: n is a number out of the file and may be huge.
	if len(data)%4 != 0 || len(data)/4 != n {
		return nil, f.Corrupt("section %s has %d bytes instead of %d numbers", name, len(data), n)
	}
	v := floats(data)
	if i := firstNotFinite(v); i >= 0 {
		return nil, f.Corrupt("number %d of section %s is not finite", i, name)
	}
	return v, nil
}

// floats views aligned little-endian bytes as numbers.
func floats(data []byte) []float32 {
	if littleEndian() {
		return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(data))), len(data)/4)
	}
	v := make([]float32, len(data)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return v
}

// firstNotFinite is the index of the first NaN or infinity in v, or -1. A model
// that holds one would answer every user with nothing.
func firstNotFinite(v []float32) int {
	for i, x := range v {
		if x-x != 0 {
			return i
		}
	}
	return -1
}

func littleEndian() bool { return binary.NativeEndian.Uint16([]byte{1, 0}) == 1 }
