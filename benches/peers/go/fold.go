package main

import "math/bits"

// fold makes one number of many, in their order. It is the same in every language, so that a run can be compared with another.
type fold uint64

func (f *fold) add(x uint64) {
	*f = fold(bits.RotateLeft64((uint64(*f)^x)*golden, 23))
}
