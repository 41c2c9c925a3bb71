package main

import "fmt"

type vertex struct {
	edges  [4]*vertex
	label  *label
	number uint64
}

type label struct {
	vertex, turn uint64
}

// graph: one random graph, mutated all the time.
func graph(r *run) (uint64, error) {
	const mutationsInStep = 32
	vertices, mutations, garbage := r.value("size"), r.value("mutations"), r.value("garbage")
	table := make([]*vertex, vertices)
	for i := range table {
		number := uint64(i)
		table[i] = &vertex{number: number, label: &label{vertex: number}}
	}
	random := newRandom(1, 0)
	for _, v := range table {
		for edge := range v.edges {
			v.edges[edge] = table[random.below(vertices)]
		}
	}
	turns := make([]uint64, vertices)

	if err := r.begin((mutations + mutationsInStep - 1) / mutationsInStep); err != nil {
		return 0, err
	}
	for left := mutations; left > 0; {
		todo := min(mutationsInStep, left)
		left -= todo
		for ; todo > 0; todo-- {
			if garbage > 0 {
				sinkBytes = make([]byte, garbage)
			}
			number := random.below(vertices)
			turns[number]++
			table[number].label = &label{number, turns[number]}
			from := table[random.below(vertices)]
			to := table[random.below(vertices)]
			from.edges[random.below(4)] = to
		}
		r.step()
	}
	r.end()

	var check fold
	for i, turn := range turns {
		number := uint64(i)
		v := table[number]
		if v.number != number || v.label.vertex != number || v.label.turn != turn {
			return 0, fmt.Errorf("vertex %d is damaged", number)
		}
		check.add(v.number)
		check.add(v.label.vertex)
		check.add(v.label.turn)
		for _, to := range v.edges {
			if to == nil || to.number >= vertices || table[to.number] != to {
				return 0, fmt.Errorf("an edge of vertex %d leads nowhere", number)
			}
			check.add(to.number)
		}
	}
	return uint64(check), nil
}
