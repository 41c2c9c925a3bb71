package main

import (
	"fmt"
	"math/bits"
)

const (
	deadBytes     = 1_000_000 // of dead arrays in a step
	deadArray     = 400       // bytes in such an array
	insignificant = 999       // as few bytes as this are not made old
	nodeBytes     = 32        // what a node is in pagemark's heap; what gets old is counted in these everywhere
)

// An oldTable holds trees. New ones take places in turn, and are numbered.
type oldTable struct {
	trees      []*node
	levels     uint64
	made, next uint64
}

// gcold: a heap of old trees, with the rate at which they are changed as a parameter.
func gcold(r *run) (uint64, error) {
	table := oldTable{trees: make([]*node, r.value("size")), levels: r.value("levels")}
	steps, mutation, oldBytes := r.value("steps"), r.value("mutation"), deadBytes/r.value("ratio")
	for range table.trees {
		table.put(table.levels)
	}
	random := newRandom(1, 0)

	if err := r.begin(steps); err != nil {
		return 0, err
	}
	for step := uint64(0); step < steps; step++ {
		for i := 0; i < deadBytes/deadArray; i++ {
			sinkBytes = make([]byte, deadArray)
		}
		for i := oldBytes / treeBytes(table.levels); i > 0; i-- {
			table.put(table.levels)
		}
		var written uint64
		for left := oldBytes % treeBytes(table.levels); left > insignificant; written++ {
			// The largest full tree that fits.
			height := uint64(bits.Len64(left/nodeBytes+1) - 1)
			table.put(height)
			left -= treeBytes(height)
		}
		for i := (mutation - min(written, mutation)) / 2; i > 0; i-- {
			table.exchange(random)
		}
		r.step()
	}
	r.end()

	var check fold
	for i, tree := range table.trees {
		if !holdsHeights(tree, table.levels) {
			return 0, fmt.Errorf("tree %d is damaged", i)
		}
		preorder(&check, tree)
	}
	return uint64(check), nil
}

func treeBytes(levels uint64) uint64 {
	return (1<<levels - 1) * nodeBytes
}

// put makes a tree, and puts it in the place of a whole one, or of a subtree of its height that is always the same one.
func (t *oldTable) put(height uint64) {
	tree := heights(height, t.made)
	if height == t.levels {
		t.trees[t.next] = tree
	} else {
		// Left and right in turn.
		way := uint64(0x5555555555555555)
		if height%2 == 0 {
			way <<= 1
		}
		*descend(t.trees[t.next], uint(t.levels-height), way) = tree
	}
	t.made++
	t.next = (t.next + 1) % uint64(len(t.trees))
}

// exchange exchanges what two trees have in the same place.
func (t *oldTable) exchange(random *random) {
	first := t.trees[random.below(uint64(len(t.trees)))]
	second := t.trees[random.below(uint64(len(t.trees)))]
	depth, path := uint(random.within(1, t.levels)), random.any()
	a, b := descend(first, depth, path), descend(second, depth, path)
	*a, *b = *b, *a
}

// heights makes a full tree whose nodes hold the tree's number, and below that their height.
func heights(height, number uint64) *node {
	n := &node{value: number<<8 | height}
	if height > 1 {
		n.left = heights(height-1, number)
		n.right = heights(height-1, number)
	}
	return n
}

func holdsHeights(n *node, height uint64) bool {
	if n == nil {
		return height == 0
	}
	return height > 0 && n.value&0xff == height && holdsHeights(n.left, height-1) && holdsHeights(n.right, height-1)
}
