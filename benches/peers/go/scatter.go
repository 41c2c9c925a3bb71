package main

import (
	"errors"
	"fmt"
)

// A page is one page: 4,088 bytes, in Go's size class of 4,096.
type page struct {
	cell  *cell
	words [510]uint64
}

type cell struct {
	value uint64
}

// scatter: one write to a random old page at a time.
func scatter(r *run) (uint64, error) {
	const writesInStep = 64
	pages, writes, garbage := r.value("size"), r.value("writes"), r.value("garbage")
	table := make([]*page, pages)
	var sum uint64
	for index := range table {
		p := new(page)
		for word := range p.words {
			p.words[word] = uint64(index)
		}
		p.cell = &cell{uint64(index)}
		table[index] = p
		sum += uint64(index)
	}
	random := newRandom(1, 0)

	if err := r.begin((writes + writesInStep - 1) / writesInStep); err != nil {
		return 0, err
	}
	for left := writes; left > 0; {
		todo := min(writesInStep, left)
		left -= todo
		for ; todo > 0; todo-- {
			if garbage > 0 {
				sinkBytes = make([]byte, garbage)
			}
			value := random.below(1 << 32)
			c := &cell{value}
			p := table[random.below(pages)]
			sum += value - p.cell.value
			p.cell = c
		}
		r.step()
	}
	r.end()

	var found uint64
	var check fold
	for index, p := range table {
		if p == nil || p.cell == nil {
			return 0, errors.New("a page is gone")
		}
		for _, word := range p.words {
			if word != uint64(index) {
				return 0, fmt.Errorf("page %d is damaged", index)
			}
		}
		found += p.cell.value
		check.add(p.words[0])
		check.add(p.cell.value)
	}
	if found != sum {
		return 0, fmt.Errorf("the cells add up to %d, not %d", found, sum)
	}
	return uint64(check), nil
}
