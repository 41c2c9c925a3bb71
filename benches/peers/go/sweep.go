package main

import (
	"fmt"
	"math"
	"time"
)

const (
	group       = 512 // references in an array
	itemBody    = 240 // bytes in an object's body
	objectBytes = 288 // what an object is in pagemark's heap; the rate is counted in these everywhere
)

type item struct {
	body  []byte
	value uint64
}

// sweep: allocation at a given rate, against a given occupancy, whether or not the last request is done.
func sweep(r *run) (uint64, error) {
	const objectsInRequest = 64 << 10 / objectBytes
	objects, shuffle := r.value("size"), r.value("shuffle")
	store := make([][]*item, (objects+group-1)/group)
	var sum uint64
	for g := range store {
		store[g] = make([]*item, group)
		first := uint64(g) * group
		for slot := uint64(0); slot < min(group, objects-first); slot++ {
			store[g][slot] = newItem(first + slot)
			sum += first + slot
		}
	}
	random := newRandom(1, 0)
	between := objectsInRequest * objectBytes / (float64(r.value("rate")) * (1 << 20)) * 1e9
	requests := uint64(math.Ceil(float64(r.value("seconds")) * 1e9 / between))
	place := func(at uint64) **item { return &store[at/group][at%group] }

	if err := r.begin(requests); err != nil {
		return 0, err
	}
	for request := uint64(0); request < requests; request++ {
		due := time.Duration(float64(request) * between)
		if ahead := due - time.Since(r.began); ahead > 0 {
			time.Sleep(ahead)
		}
		for i := 0; i < objectsInRequest; i++ {
			value := random.any()
			fresh := newItem(value)
			field := place(random.below(objects))
			sum += value - (*field).value
			*field = fresh
			if random.oneIn(shuffle) {
				a, b := place(random.below(objects)), place(random.below(objects))
				*a, *b = *b, *a
			}
		}
		r.step()
	}
	r.end()

	var found uint64
	var check fold
	for at := uint64(0); at < objects; at++ {
		it := *place(at)
		if !filled(it.body, byte(it.value)) || len(it.body) != itemBody {
			return 0, fmt.Errorf("the object at %d is damaged", at)
		}
		found += it.value
		check.add(it.value)
		check.add(uint64(it.body[0]))
	}
	if found != sum {
		return 0, fmt.Errorf("the objects add up to %d, not %d", found, sum)
	}
	return uint64(check), nil
}

// newItem is an object whose body is filled with the low byte of its value.
func newItem(value uint64) *item {
	it := &item{value: value, body: make([]byte, itemBody)}
	fill(it.body, byte(value))
	return it
}
