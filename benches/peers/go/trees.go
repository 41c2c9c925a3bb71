package main

// node is 24 bytes: Go's objects have no header.
type node struct {
	left, right *node
	value       uint64
}

// small is the levels of churn's short-lived trees, of 2,047 nodes.
const small = 11

// build makes a full tree of one value: a node first, then what is below it.
func build(levels uint, value uint64) *node {
	n := &node{value: value}
	if levels > 1 {
		n.left = build(levels-1, value)
		n.right = build(levels-1, value)
	}
	return n
}

// descend is the field that the low bits of path lead to, so many levels below n.
func descend(n *node, levels uint, path uint64) **node {
	for level := uint(0); level < levels-1; level++ {
		n = *side(n, path>>level)
	}
	return side(n, path>>(levels-1))
}

func side(n *node, bit uint64) **node {
	if bit&1 == 0 {
		return &n.left
	}
	return &n.right
}

// count is the nodes of the tree.
func count(n *node) uint64 {
	if n == nil {
		return 0
	}
	return 1 + count(n.left) + count(n.right)
}

// holds says whether the tree is full, and every node has the value.
func holds(n *node, levels uint, value uint64) bool {
	if n == nil {
		return levels == 0
	}
	return levels > 0 && n.value == value && holds(n.left, levels-1, value) && holds(n.right, levels-1, value)
}

// preorder folds the values.
func preorder(f *fold, n *node) {
	if n != nil {
		f.add(n.value)
		preorder(f, n.left)
		preorder(f, n.right)
	}
}
