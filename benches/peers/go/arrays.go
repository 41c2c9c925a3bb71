package main

import "fmt"

// arrays: large arrays of references, written seldom or often.
func arrays(r *run) (uint64, error) {
	const drawnBits = 16
	many, size := r.value("arrays"), r.value("size")
	steps, mutation, garbage := r.value("steps"), r.value("mutation"), r.value("garbage")
	// The number of a slot among all.
	place := func(array, slot uint64) uint64 { return array*size + slot }
	shelf := make([][]*cell, many)
	for array := range shelf {
		shelf[array] = make([]*cell, size)
		for slot := range shelf[array] {
			shelf[array][slot] = &cell{place(uint64(array), uint64(slot)) << drawnBits}
		}
	}
	var sum uint64
	random := newRandom(1, 0)

	if err := r.begin(steps); err != nil {
		return 0, err
	}
	for step := uint64(0); step < steps; step++ {
		if garbage > 0 {
			sinkBytes = make([]byte, garbage)
		}
		for i := uint64(0); i < mutation; i++ {
			array, slot := random.below(many), random.below(size)
			drawn := random.below(1 << drawnBits)
			c := &cell{place(array, slot)<<drawnBits | drawn}
			sum += drawn - shelf[array][slot].value&(1<<drawnBits-1)
			shelf[array][slot] = c
		}
		r.step()
	}
	r.end()

	var found uint64
	var check fold
	for array, cells := range shelf {
		for slot, c := range cells {
			if c.value>>drawnBits != place(uint64(array), uint64(slot)) {
				return 0, fmt.Errorf("array %d has the cell of another slot at %d", array, slot)
			}
			found += c.value & (1<<drawnBits - 1)
			check.add(c.value)
		}
	}
	if found != sum {
		return 0, fmt.Errorf("the cells add up to %d, not %d", found, sum)
	}
	return uint64(check), nil
}
