package main

import "fmt"

const (
	batch       = 32 // messages in a request
	messageBody = 48 // bytes in a body
)

type fifo struct {
	first, last *message
}

type message struct {
	next   *message
	body   []byte
	number uint64
}

// queue: first in, first out, with everything living equally long.
func queue(r *run) (uint64, error) {
	messages, requests := r.value("size"), r.value("requests")
	q := new(fifo)
	var nextIn uint64
	for nextIn < messages {
		many := min(batch, messages-nextIn)
		q.put(nextIn, many)
		nextIn += many
	}

	if err := r.begin(requests); err != nil {
		return 0, err
	}
	for request := uint64(0); request < requests; request++ {
		q.put(nextIn, batch)
		if !q.take(request * batch) {
			return 0, fmt.Errorf("request %d was not served the messages that were next", request)
		}
		nextIn += batch
		r.step()
	}
	r.end()

	expected := requests * batch
	var check fold
	for m := q.first; m != nil; m = m.next {
		if !m.is(expected) {
			return 0, fmt.Errorf("message %d is damaged", expected)
		}
		check.add(m.number)
		check.add(uint64(m.body[0]))
		check.add(uint64(m.body[messageBody-1]))
		expected++
	}
	if expected != nextIn {
		return 0, fmt.Errorf("the queue ends at %d, not %d", expected, nextIn)
	}
	return uint64(check), nil
}

func newMessage(number uint64) *message {
	m := &message{number: number, body: make([]byte, messageBody)}
	fill(m.body, byte(number))
	return m
}

// put puts messages in, numbered from number.
func (q *fifo) put(number, many uint64) {
	first := newMessage(number)
	last := first
	for next := number + 1; next < number+many; next++ {
		last.next = newMessage(next)
		last = last.next
	}
	if q.last != nil {
		q.last.next = first
	} else {
		q.first = first
	}
	q.last = last
}

// take takes a batch out; whether these were the messages from number on. The queue never gets empty.
func (q *fifo) take(number uint64) bool {
	right := true
	for next := number; next < number+batch; next++ {
		m := q.first
		if m == nil {
			return false
		}
		right = right && m.is(next)
		q.first = m.next
	}
	return right
}

func (m *message) is(number uint64) bool {
	return m.number == number && len(m.body) == messageBody &&
		m.body[0] == byte(number) && m.body[messageBody-1] == byte(number)
}
