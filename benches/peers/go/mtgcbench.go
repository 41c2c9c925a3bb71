package main

import (
	"errors"
	"math"
)

// 24 bytes.
type benchNode struct {
	left, right *benchNode
	i, j        uint32
}

// mtGCBench: GCBench with holes.
func mtGCBench(r *run) (uint64, error) {
	depth, numbers := r.value("depth"), r.value("numbers")
	holes := newHoles()
	longLived := holes.topDown(depth)
	array := make([]float64, numbers)
	for i := range array[:numbers/2] {
		array[i] = 1 / float64(i)
	}
	nodes := func(depth uint64) uint64 { return 2<<depth - 1 }
	trees := func(of uint64) uint64 { return 2 * nodes(depth+2) / nodes(of) }
	var steps uint64
	for of := uint64(leastDepth); of <= depth; of += 2 {
		steps += 2 * trees(of)
	}
	right := true

	if err := r.begin(steps); err != nil {
		return 0, err
	}
	for of := uint64(leastDepth); of <= depth; of += 2 {
		for _, kind := range []func(uint64) *benchNode{holes.topDown, holes.bottomUp} {
			for tree := uint64(0); tree < trees(of); tree++ {
				right = kind(of).isTree(of) && right
				r.step()
			}
		}
	}
	r.end()

	if !right || !longLived.isTree(depth) {
		return 0, errors.New("a tree is damaged")
	}
	var check fold
	longLived.fold(&check)
	for i, number := range array[:numbers/2] {
		if number != 1/float64(i) {
			return 0, errors.New("the array is damaged")
		}
		check.add(math.Float64bits(number))
	}
	return uint64(check), nil
}

// holes are lengths of dead objects in words, used in turn.
type holes struct {
	lengths [256]int
	next    int
}

func newHoles() *holes {
	h := new(holes)
	random := newRandom(256, 0)
	for i := range h.lengths {
		for random.below(100) >= 15 {
			h.lengths[i]++
		}
	}
	return h
}

// dig allocates a dead object, or none where its length would be 0. It has room for references, which are nil.
func (h *holes) dig() {
	length := h.lengths[h.next%len(h.lengths)]
	h.next++
	if length > 0 {
		sinkHole = make([]*benchNode, length)
	}
}

// topDown makes a node first, then what is below it.
func (h *holes) topDown(depth uint64) *benchNode {
	top := new(benchNode)
	h.below(top, depth)
	return top
}

func (h *holes) below(top *benchNode, depth uint64) {
	if depth == 0 {
		return
	}
	h.dig()
	left := new(benchNode)
	h.dig()
	right := new(benchNode)
	top.left, top.right, top.j = left, right, uint32(depth)
	h.below(left, depth-1)
	h.below(right, depth-1)
}

// bottomUp makes children first.
func (h *holes) bottomUp(depth uint64) *benchNode {
	if depth == 0 {
		return new(benchNode)
	}
	left, right := h.bottomUp(depth-1), h.bottomUp(depth-1)
	h.dig()
	return &benchNode{left: left, right: right, j: uint32(depth)}
}

func (n *benchNode) isTree(depth uint64) bool {
	if n == nil || n.i != 0 || uint64(n.j) != depth {
		return false
	}
	if depth == 0 {
		return n.left == nil && n.right == nil
	}
	return n.left.isTree(depth-1) && n.right.isTree(depth-1)
}

func (n *benchNode) fold(f *fold) {
	if n != nil {
		f.add(uint64(n.j))
		n.left.fold(f)
		n.right.fold(f)
	}
}
