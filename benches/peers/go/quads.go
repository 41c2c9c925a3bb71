package main

import "errors"

type quad struct {
	children [4]*quad
}

// quads: a big tree of nodes with four children lives, small ones die.
func quads(r *run) (uint64, error) {
	const rounds, smallDepth = 20, 3
	depth, factor := r.value("depth"), r.value("factor")
	big := newQuad(depth)
	nodes := func(depth uint64) uint64 { return (4<<(2*depth) - 1) / 3 }
	whippetHeap := nodes(depth) * 40 * factor / 100
	many := uint64(float64(whippetHeap)/7.5) / (nodes(smallDepth) * 32)
	right := true

	if err := r.begin(rounds * (many + 1)); err != nil {
		return 0, err
	}
	for round := 0; round < rounds; round++ {
		for tree := uint64(0); tree < many; tree++ {
			sinkQuad = newQuad(smallDepth)
			r.step()
		}
		right = right && big.isFull(depth)
		r.step()
	}
	r.end()

	if !right || !big.isFull(depth) {
		return 0, errors.New("the live tree is damaged")
	}
	var check fold
	big.fold(&check)
	return uint64(check), nil
}

// newQuad makes a tree bottom-up.
func newQuad(depth uint64) *quad {
	if depth == 0 {
		return new(quad)
	}
	var children [4]*quad
	for i := range children {
		children[i] = newQuad(depth - 1)
	}
	return &quad{children}
}

func (q *quad) isFull(depth uint64) bool {
	for _, child := range q.children {
		if child == nil {
			if depth > 0 {
				return false
			}
		} else if depth == 0 || !child.isFull(depth-1) {
			return false
		}
	}
	return true
}

// fold takes in how many children each node has.
func (q *quad) fold(f *fold) {
	var children uint64
	for _, child := range q.children {
		if child != nil {
			children++
		}
	}
	f.add(children)
	for _, child := range q.children {
		if child != nil {
			child.fold(f)
		}
	}
}
