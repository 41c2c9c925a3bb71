package main

import (
	"errors"
	"fmt"
)

const (
	payloadDepth = 5
	numbersBytes = 80
	textBytes    = 40
)

type splayTree struct {
	root *splayNode
}

type splayNode struct {
	left, right *splayNode
	payload     *payload
	key         uint64
}

// An inner node of a payload has the first two, a leaf the others.
type payload struct {
	left, right   *payload
	numbers, text []byte
}

// splay: a splay tree whose nodes carry small trees, rewritten at every access.
func splay(r *run) (uint64, error) {
	nodes, requests := r.value("size"), r.value("requests")
	random := newRandom(1, 0)
	var tree splayTree
	var sum uint64
	for size := uint64(0); size < nodes; {
		if key := random.any(); tree.insert(key) {
			sum += key
			size++
		}
	}

	if err := r.begin(requests); err != nil {
		return 0, err
	}
	for request := uint64(0); request < requests; request++ {
		if key := random.any(); tree.insert(key) {
			sum += key - tree.takeBelow(key)
		}
		r.step()
	}
	r.end()

	return tree.check(nodes, sum)
}

func newPayload(depth uint, key uint64) *payload {
	if depth == 0 {
		p := &payload{numbers: make([]byte, numbersBytes), text: make([]byte, textBytes)}
		fill(p.numbers, byte(key))
		fill(p.text, byte(key))
		return p
	}
	p := new(payload)
	p.left = newPayload(depth-1, key)
	p.right = newPayload(depth-1, key)
	return p
}

func (p *payload) is(depth uint, key uint64) bool {
	if p == nil {
		return false
	}
	if depth > 0 {
		return p.left.is(depth-1, key) && p.right.is(depth-1, key)
	}
	return len(p.numbers) == numbersBytes && filled(p.numbers, byte(key)) &&
		len(p.text) == textBytes && filled(p.text, byte(key))
}

// fold takes in the first byte of each leaf's numbers, and of its text.
func (p *payload) fold(f *fold) {
	if p.left != nil {
		p.left.fold(f)
		p.right.fold(f)
		return
	}
	f.add(uint64(p.numbers[0]))
	f.add(uint64(p.text[0]))
}

// splayed moves the node with the key, or a neighbour of where it would be, to the root: top-down, with the two trees of smaller
// and greater keys built as it goes (Sleator and Tarjan 1985). It is nil only for an empty tree.
func (current *splayNode) splayed(key uint64) *splayNode {
	if current == nil {
		return nil
	}
	// Where the next smaller, or greater, tree goes; each of these is put under the root at last.
	var allSmaller, allGreater *splayNode
	smaller, greater := &allSmaller, &allGreater
	for current.key != key {
		if key < current.key {
			left := current.left
			if left == nil {
				break
			}
			if key < left.key {
				current.left, left.right = left.right, current
				current = left
				if left = current.left; left == nil {
					break
				}
			}
			*greater = current
			greater = &current.left
			current = left
		} else {
			right := current.right
			if right == nil {
				break
			}
			if key > right.key {
				current.right, right.left = right.left, current
				current = right
				if right = current.right; right == nil {
					break
				}
			}
			*smaller = current
			smaller = &current.right
			current = right
		}
	}
	*smaller, *greater = current.left, current.right
	current.left, current.right = allSmaller, allGreater
	return current
}

// insert puts a new node in; false if its key is there already.
func (t *splayTree) insert(key uint64) bool {
	node := &splayNode{key: key, payload: newPayload(payloadDepth, key)}
	if root := t.root.splayed(key); root != nil {
		switch {
		case root.key == key:
			t.root = root
			return false
		case root.key < key:
			node.left, node.right, root.right = root, root.right, nil
		default:
			node.right, node.left, root.left = root, root.left, nil
		}
	}
	t.root = node
	return true
}

// takeBelow takes out the node with the greatest key below the one given, which is the root's, or that one itself if it is
// the least.
func (t *splayTree) takeBelow(key uint64) uint64 {
	root := t.root.splayed(key)
	taken := key
	for node := root.left; node != nil; node = node.right {
		taken = node.key
	}
	root = root.splayed(taken)
	// What is left of the root has only smaller keys, so that splaying it for the same key leaves its root without a right subtree.
	if left := root.left.splayed(taken); left != nil {
		left.right = root.right
		t.root = left
	} else {
		t.root = root.right
	}
	return root.key
}

// check walks in the order of keys. A splay tree can be as deep as it has nodes, so the walk has a stack of its own.
func (t *splayTree) check(nodes, sum uint64) (uint64, error) {
	var check fold
	var stack []*splayNode
	var last *splayNode
	var foundNodes, foundSum uint64
	for next := t.root; next != nil || len(stack) > 0; {
		for ; next != nil; next = next.left {
			stack = append(stack, next)
		}
		node := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if last != nil && last.key >= node.key {
			return 0, fmt.Errorf("key %d is not in its place", node.key)
		}
		if !node.payload.is(payloadDepth, node.key) {
			return 0, fmt.Errorf("the payload of key %d is damaged", node.key)
		}
		foundNodes++
		foundSum += node.key
		check.add(node.key)
		node.payload.fold(&check)
		last, next = node, node.right
	}
	if foundNodes != nodes || foundSum != sum {
		return 0, errors.New("the keys are not those that were put in and not taken out")
	}
	return uint64(check), nil
}
