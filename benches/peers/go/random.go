package main

import "math/bits"

const golden = 0x9e3779b97f4a7c15

// random is a SplitMix64 generator: that of lab/src/stress/random.rs, to the number.
type random struct{ state uint64 }

// newRandom is the generator of the seed. Two streams of a seed have nothing in common.
func newRandom(seed, stream uint64) *random {
	return &random{mix(mix(seed) ^ stream)}
}

// any is any number.
func (r *random) any() uint64 {
	r.state += golden
	return mix(r.state)
}

// below is a number below n, which is not 0.
func (r *random) below(n uint64) uint64 {
	high, _ := bits.Mul64(r.any(), n)
	return high
}

// within is a number from low to high, both possible.
func (r *random) within(low, high uint64) uint64 {
	return low + r.below(high-low+1)
}

// oneIn says whether something that happens once in n times happens.
func (r *random) oneIn(n uint64) bool {
	return r.below(n) == 0
}

func mix(x uint64) uint64 {
	x += golden
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
