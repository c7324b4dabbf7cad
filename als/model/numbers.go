package model

import (
	"encoding/binary"
	"unsafe"
)

// number is what a section of numbers may hold, little endian.
type number interface{ float32 | uint32 | int64 }

// Float32s is a section holding little-endian IEEE 754 single precision
// numbers. On little-endian machines it aliases v.
func Float32s(name string, v []float32) Section { return section(name, v) }

// Uint32s is a section holding little-endian unsigned 32-bit numbers. On
// little-endian machines it aliases v.
func Uint32s(name string, v []uint32) Section { return section(name, v) }

// Int64s is a section holding little-endian signed 64-bit numbers. On
// little-endian machines it aliases v.
func Int64s(name string, v []int64) Section { return section(name, v) }

func section[T number](name string, v []T) Section {
	if littleEndian() {
		return Section{name, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), sizeOf[T]()*len(v))}
	}
	data, _ := binary.Append(nil, binary.LittleEndian, v) // fails only for types without a size
	return Section{name, data}
}

// Float32s returns section name as exactly n finite numbers. On little-endian
// machines they alias the file's memory and must not be changed.
func (f *File) Float32s(name string, n int) ([]float32, error) {
	v, err := numbers[float32](f, name, n)
	if err != nil {
		return nil, err
	}
	if i := firstNotFinite(v); i >= 0 {
		return nil, f.Corrupt("number %d of section %s is not finite", i, name)
	}
	return v, nil
}

// Uint32s returns section name as exactly n numbers, like Float32s.
func (f *File) Uint32s(name string, n int) ([]uint32, error) { return numbers[uint32](f, name, n) }

// Int64s returns section name as exactly n numbers, like Float32s.
func (f *File) Int64s(name string, n int) ([]int64, error) { return numbers[int64](f, name, n) }

func numbers[T number](f *File, name string, n int) ([]T, error) {
	data, ok := f.Section(name)
	if !ok {
		return nil, f.Corrupt("section %s is missing", name)
	}
	// Divided, not multiplied: n is a number out of the file and may be huge.
	if size := sizeOf[T](); len(data)%size != 0 || len(data)/size != n {
		return nil, f.Corrupt("section %s has %d bytes instead of %d numbers", name, len(data), n)
	}
	if littleEndian() {
		return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(data))), n), nil
	}
	v := make([]T, n)
	_, _ = binary.Decode(data, binary.LittleEndian, v) // fails only for too little data
	return v, nil
}

func sizeOf[T number]() int {
	var zero T
	return int(unsafe.Sizeof(zero))
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
