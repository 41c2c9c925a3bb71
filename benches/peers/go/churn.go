package main

import (
	"fmt"
	"math"
)

// churn: a big tree lives, small trees die, and some of them move in.
func churn(r *run) (uint64, error) {
	levels, trees := uint(r.value("levels")), r.value("trees")
	top := levels - small
	live := build(top, math.MaxUint64)
	for path := uint64(0); path < 1<<top; path++ {
		*descend(live, top, path) = build(small, path)
	}
	random := newRandom(1, 0)

	if err := r.begin(trees); err != nil {
		return 0, err
	}
	for tree := uint64(0); tree < trees; tree++ {
		path := random.any()
		subtree := build(small, tree)
		if tree%16 == 15 {
			*descend(live, top, path) = subtree
		}
		r.step()
	}
	r.end()

	if nodes := count(live); nodes != 1<<levels-1 {
		return 0, fmt.Errorf("the live tree has %d nodes, not %d", nodes, uint64(1)<<levels-1)
	}
	for path := uint64(0); path < 1<<top; path++ {
		subtree := *descend(live, top, path)
		if subtree == nil || !holds(subtree, small, subtree.value) {
			return 0, fmt.Errorf("subtree %d is damaged", path)
		}
	}
	var check fold
	preorder(&check, live)
	return uint64(check), nil
}
