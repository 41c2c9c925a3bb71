package main

import (
	"encoding/binary"
	"fmt"
	"time"
)

const (
	groupSize        = 512 // objects in a group
	sizes            = 64  // sizes there are
	objectsInRequest = 2 * sizes
)

// An item has its number in the first and in the last eight bytes of its body.
type item struct {
	next *item
	body []byte
}

// A store holds old objects in groups, and young ones in a queue.
type store struct {
	groups  [][]*item
	queue   []*item
	objects uint64
	random  *random
}

// sweep: allocation at a given rate, against a given occupancy, whether or not the last request is done.
func sweep(r *run) (uint64, error) {
	objects := r.value("size")
	queue := (r.value("queue") + sizes - 1) / sizes * sizes
	s := &store{make([][]*item, (objects+groupSize-1)/groupSize), make([]*item, queue), objects, newRandom(1, 0)}
	var sum uint64
	for group := range s.groups {
		s.groups[group] = make([]*item, groupSize)
		from := uint64(group) * groupSize
		to := from + s.length(uint64(group))
		for place := from; place < to; place++ {
			s.groups[group][place%groupSize] = newItem(place, place)
			sum += place
		}
		for place := from; place < to; place++ {
			s.referFromBefore(place)
		}
	}
	// Objects made. Those in the queue are numbered from 0 too.
	var made uint64
	for ; made < queue; made++ {
		s.queue[made] = newItem(made, made)
	}
	between := requestBytes() * 1_000_000_000 / (r.value("rate") << 20)
	requests := (r.value("seconds")*1_000_000_000 + between - 1) / between
	shuffle := r.value("shuffle")
	// Objects of the store times nanoseconds: what is owed it, and what one replacement costs.
	owed, price := uint64(0), r.value("prune")*60_000_000_000

	if err := r.begin(requests); err != nil {
		return 0, err
	}
	for request := uint64(0); request < requests; request++ {
		if ahead := time.Duration(request*between) - time.Since(r.began); ahead > 0 {
			time.Sleep(ahead)
		}
		owed = min(owed+between*objects, price*objectsInRequest)
		for i := 0; i < objectsInRequest; i++ {
			fresh := newItem(made, made)
			oldest := s.queue[made%queue]
			s.queue[made%queue] = fresh
			if owed >= price {
				owed -= price
				sum += made - queue - s.replace(oldest, made)
				if s.random.oneIn(2) {
					s.shuffle(shuffle)
				}
			}
			made++
		}
		r.step()
	}
	r.end()

	return s.check(sum, made)
}

// bodyBytes is the length of the body of the object at a place.
func bodyBytes(place uint64) uint64 {
	return 80 + 14*(place%sizes)
}

// requestBytes is what the objects of a request are in pagemark's heap; the rate is counted in these everywhere.
func requestBytes() (bytes uint64) {
	for size := uint64(0); size < sizes; size++ {
		bytes += 2 * (32 + (16+bodyBytes(size)+15)/16*16)
	}
	return bytes
}

// newItem is an object of the size of a place.
func newItem(place, number uint64) *item {
	it := &item{body: make([]byte, bodyBytes(place))}
	binary.LittleEndian.PutUint64(it.body, number)
	binary.LittleEndian.PutUint64(it.body[len(it.body)-8:], number)
	return it
}

// number is that of the object, if both its ends say the same.
func (it *item) number() (uint64, bool) {
	first := binary.LittleEndian.Uint64(it.body)
	return first, first == binary.LittleEndian.Uint64(it.body[len(it.body)-8:])
}

func (s *store) item(place uint64) *item {
	return s.groups[place/groupSize][place%groupSize]
}

// length is the number of objects in a group. Only the last one may have less.
func (s *store) length(group uint64) uint64 {
	return min(groupSize, s.objects-group*groupSize)
}

// replace puts what has left the queue into a random place of its size, and returns the number of what was there.
func (s *store) replace(fresh *item, made uint64) uint64 {
	size := made % sizes
	place := size + sizes*s.random.below((s.objects-size+sizes-1)/sizes)
	it := s.item(place)
	// A damaged one has another number, and then the sum is wrong in the end.
	replaced, _ := it.number()
	it.body = fresh.body
	s.referFromBefore(place)
	s.refer(place)
	return replaced
}

// referFromBefore lets perhaps one of the group before refer to the object from now on.
func (s *store) referFromBefore(place uint64) {
	group := place / groupSize
	if group > 0 && s.random.oneIn(2) {
		s.item((group-1)*groupSize + s.random.below(groupSize)).next = s.item(place)
	}
}

// refer lets the object refer to one of the next group from now on, or to none.
func (s *store) refer(place uint64) {
	next := place/groupSize + 1
	if next >= uint64(len(s.groups)) {
		return
	}
	var to *item
	if s.random.oneIn(2) {
		to = s.item(next*groupSize + s.random.below(s.length(next)))
	}
	s.item(place).next = to
}

// shuffle gives one of n groups new references, and writes to its objects. The last group has none to refer to.
func (s *store) shuffle(n uint64) {
	groups := uint64(len(s.groups))
	if groups < 2 {
		return
	}
	for i := (groups + n - 1) / n; i > 0; i-- {
		group := s.random.below(groups - 1)
		for place := group * groupSize; place < (group+1)*groupSize; place++ {
			s.refer(place)
			body := s.item(place).body
			body[8+s.random.below(uint64(len(body))-16)]++
		}
	}
}

// check is the fold, if the numbers in the store add up and the queue has the last of those made.
func (s *store) check(sum, made uint64) (uint64, error) {
	var found uint64
	var check fold
	for place := uint64(0); place < s.objects; place++ {
		it := s.item(place)
		number, whole := it.number()
		if !whole {
			return 0, fmt.Errorf("the object at %d is damaged", place)
		}
		var next uint64
		if it.next != nil {
			if next, whole = it.next.number(); !whole {
				return 0, fmt.Errorf("what the object at %d refers to is damaged", place)
			}
			next++
		}
		found += number
		check.add(number)
		check.add(next)
	}
	if found != sum {
		return 0, fmt.Errorf("the objects add up to %d, not %d", found, sum)
	}
	for expected := made - uint64(len(s.queue)); expected < made; expected++ {
		number, whole := s.queue[expected%uint64(len(s.queue))].number()
		if !whole || number != expected {
			return 0, fmt.Errorf("object %d is not in its place in the queue", expected)
		}
		check.add(expected)
	}
	return uint64(check), nil
}
