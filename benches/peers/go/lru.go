package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
)

const (
	keysInRequest = 16
	valueBytes    = 256
	universe      = 4    // keys there are, for each entry of the cache
	exponent      = 0.99 // of the distribution of keys
)

type cache struct {
	newest, oldest *entry
	table          []*entry
}

type entry struct {
	chain        *entry
	newer, older *entry
	value        []byte
	key          uint64
}

// lru: a cache of the entries used last, asked for keys as people ask.
func lru(r *run) (uint64, error) {
	size, requests := r.value("size"), r.value("requests")
	c := &cache{table: make([]*entry, 1<<bits.Len64(size-1))}
	keys := newZipf(size*universe, exponent)
	random := newRandom(1, 0)
	for rank := uint64(0); rank < size; rank++ {
		c.put(keyOf(rank))
	}
	var damaged uint64

	if err := r.begin(requests); err != nil {
		return 0, err
	}
	for request := uint64(0); request < requests; request++ {
		for i := 0; i < keysInRequest; i++ {
			key := keyOf(keys.rank(random))
			if e := c.find(key); e != nil {
				if !e.hasValue() {
					damaged++
				}
				c.unlink(e)
				c.linkNewest(e)
			} else {
				c.put(key)
				c.dropOldest()
			}
		}
		r.step()
	}
	r.end()

	if damaged > 0 {
		return 0, fmt.Errorf("%d times a key was answered with another's value", damaged)
	}
	return c.check(size)
}

// keyOf makes keys of neighbouring ranks lie nowhere near each other: an odd factor is a bijection of words.
func keyOf(rank uint64) uint64 {
	return (rank + 1) * golden
}

func (c *cache) bucket(key uint64) **entry {
	// The high bits of a product are the mixed ones.
	return &c.table[key>>32&uint64(len(c.table)-1)]
}

func (c *cache) find(key uint64) *entry {
	e := *c.bucket(key)
	for e != nil && e.key != key {
		e = e.chain
	}
	return e
}

// put puts in a key that is not there, as the newest.
func (c *cache) put(key uint64) {
	e := &entry{key: key, value: make([]byte, valueBytes)}
	for i := 0; i < valueBytes; i += 8 {
		binary.LittleEndian.PutUint64(e.value[i:], key)
	}
	bucket := c.bucket(key)
	e.chain = *bucket
	*bucket = e
	c.linkNewest(e)
}

func (c *cache) linkNewest(e *entry) {
	e.newer, e.older = nil, c.newest
	if c.newest != nil {
		c.newest.newer = e
	} else {
		c.oldest = e
	}
	c.newest = e
}

func (c *cache) unlink(e *entry) {
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		c.newest = e.older
	}
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		c.oldest = e.newer
	}
}

func (c *cache) dropOldest() {
	oldest := c.oldest
	if oldest == nil {
		return
	}
	c.unlink(oldest)
	for field := c.bucket(oldest.key); *field != nil; field = &(*field).chain {
		if *field == oldest {
			*field = oldest.chain
			return
		}
	}
}

func (e *entry) hasValue() bool {
	if len(e.value) != valueBytes {
		return false
	}
	for i := 0; i < valueBytes; i += 8 {
		if binary.LittleEndian.Uint64(e.value[i:]) != e.key {
			return false
		}
	}
	return true
}

// check goes through all entries, from the one used last to the one used longest ago.
func (c *cache) check(size uint64) (uint64, error) {
	var check fold
	var count uint64
	var newer *entry
	for e := c.newest; e != nil; newer, e = e, e.older {
		if e.newer != newer || c.find(e.key) != e || !e.hasValue() {
			return 0, fmt.Errorf("the entry of key %d is damaged", e.key)
		}
		check.add(e.key)
		check.add(binary.LittleEndian.Uint64(e.value))
		count++
	}
	if c.oldest != newer || count != size {
		return 0, fmt.Errorf("the list has %d entries, not %d", count, size)
	}
	return uint64(check), nil
}

// zipf is Zipf's distribution over ranks from 0, after Gray and others (SIGMOD 1994), as YCSB draws from it.
type zipf struct {
	ranks               uint64
	exponent, zeta, eta float64
}

func newZipf(ranks uint64, exponent float64) *zipf {
	zeta := func(n uint64) (sum float64) {
		for i := uint64(1); i <= n; i++ {
			sum += math.Pow(float64(i), -exponent)
		}
		return sum
	}
	all := zeta(ranks)
	eta := (1 - math.Pow(2/float64(ranks), 1-exponent)) / (1 - zeta(2)/all)
	return &zipf{ranks, exponent, all, eta}
}

func (z *zipf) rank(r *random) uint64 {
	uniform := float64(r.any()>>11) / (1 << 53)
	scaled := uniform * z.zeta
	if scaled < 1 {
		return 0
	}
	if scaled < 1+math.Pow(0.5, z.exponent) {
		return 1
	}
	rank := float64(z.ranks) * math.Pow(z.eta*uniform-z.eta+1, 1/(1-z.exponent))
	return min(uint64(rank), z.ranks-1)
}
