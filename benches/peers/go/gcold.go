package main

import "fmt"

// oldLevels is the levels of a tree of 1,023 nodes, each of which holds its height.
const oldLevels = 10

// gcold: a heap of old trees, with the rate at which they are changed as a parameter.
func gcold(r *run) (uint64, error) {
	trees, steps, dead, mutation := r.value("size"), r.value("steps"), r.value("dead"), r.value("mutation")
	table := make([]*node, trees)
	for i := range table {
		table[i] = newOld(oldLevels)
	}
	random := newRandom(1, 0)

	if err := r.begin(steps); err != nil {
		return 0, err
	}
	for step := uint64(0); step < steps; step++ {
		for i := uint64(0); i < dead; i++ {
			sinkNode = newOld(oldLevels)
		}
		tree := newOld(oldLevels)
		table[random.below(trees)] = tree
		for i := uint64(0); i < mutation; i++ {
			exchange(table, random)
		}
		r.step()
	}
	r.end()

	var check fold
	for i, tree := range table {
		if !isOld(tree, oldLevels) {
			return 0, fmt.Errorf("tree %d is damaged", i)
		}
		preorder(&check, tree)
	}
	return uint64(check), nil
}

func newOld(levels uint) *node {
	n := &node{value: uint64(levels)}
	if levels > 1 {
		n.left = newOld(levels - 1)
		n.right = newOld(levels - 1)
	}
	return n
}

func isOld(n *node, levels uint) bool {
	if n == nil {
		return levels == 0
	}
	return levels > 0 && n.value == uint64(levels) && isOld(n.left, levels-1) && isOld(n.right, levels-1)
}

// exchange exchanges two subtrees of the same height. In one tree both lie at the same depth, so neither is inside the other.
func exchange(table []*node, random *random) {
	depth := uint(random.within(1, oldLevels-1))
	place := func() **node {
		tree := table[random.below(uint64(len(table)))]
		return descend(tree, depth, random.any())
	}
	a, b := place(), place()
	*a, *b = *b, *a
}
