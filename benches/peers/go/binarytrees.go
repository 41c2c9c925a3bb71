package main

import "fmt"

const leastDepth = 4

type plainNode struct {
	left, right *plainNode
}

// binaryTrees: short-lived trees beside a long-lived one, as in the benchmarks game.
func binaryTrees(r *run) (uint64, error) {
	depth := r.value("depth")
	longLived := newTree(depth)
	// As many trees of each depth as make the same number of nodes.
	trees := func(of uint64) uint64 { return 1 << (depth - of + leastDepth) }
	var steps, wrong uint64
	for of := uint64(leastDepth); of <= depth; of += 2 {
		steps += trees(of)
	}

	if err := r.begin(steps); err != nil {
		return 0, err
	}
	for of := uint64(leastDepth); of <= depth; of += 2 {
		for tree := uint64(0); tree < trees(of); tree++ {
			if newTree(of).count() != 2<<of-1 {
				wrong++
			}
			r.step()
		}
	}
	r.end()

	if wrong > 0 {
		return 0, fmt.Errorf("%d trees had too few nodes", wrong)
	}
	if nodes := longLived.count(); nodes != 2<<depth-1 {
		return 0, fmt.Errorf("the long-lived tree has %d nodes", nodes)
	}
	var check fold
	longLived.fold(&check)
	return uint64(check), nil
}

// newTree makes a tree bottom-up.
func newTree(depth uint64) *plainNode {
	if depth == 0 {
		return new(plainNode)
	}
	left, right := newTree(depth-1), newTree(depth-1)
	return &plainNode{left, right}
}

func (n *plainNode) count() uint64 {
	if n == nil {
		return 0
	}
	return 1 + n.left.count() + n.right.count()
}

// fold takes in how many children each node has.
func (n *plainNode) fold(f *fold) {
	var children uint64
	for _, child := range []*plainNode{n.left, n.right} {
		if child != nil {
			children++
		}
	}
	f.add(children)
	for _, child := range []*plainNode{n.left, n.right} {
		if child != nil {
			child.fold(f)
		}
	}
}
