package main

import (
	"encoding/binary"
	"fmt"
)

// pusher: a window of buffers, the newest pushing out the oldest.
func pusher(r *run) (uint64, error) {
	window, pushes, bytes := r.value("window"), r.value("pushes"), r.value("bytes")
	ring := make([][]byte, window)

	if err := r.begin(pushes); err != nil {
		return 0, err
	}
	for number := uint64(0); number < pushes; number++ {
		ring[number%window] = buffer(number, bytes)
		r.step()
	}
	r.end()

	var check fold
	for number := pushes - min(window, pushes); number < pushes; number++ {
		b := ring[number%window]
		if !isBuffer(b, number, bytes) {
			return 0, fmt.Errorf("the buffer of push %d is damaged", number)
		}
		check.add(binary.LittleEndian.Uint64(b))
		check.add(uint64(b[bytes-1]))
	}
	return uint64(check), nil
}

// buffer has the low byte of the number everywhere, and the number itself in the first eight.
func buffer(number, bytes uint64) []byte {
	b := make([]byte, bytes)
	fill(b, byte(number))
	binary.LittleEndian.PutUint64(b, number)
	return b
}

func isBuffer(b []byte, number, bytes uint64) bool {
	return uint64(len(b)) == bytes && binary.LittleEndian.Uint64(b) == number && filled(b[8:], byte(number))
}

func fill(b []byte, value byte) {
	for i := range b {
		b[i] = value
	}
}

func filled(b []byte, value byte) bool {
	for _, have := range b {
		if have != value {
			return false
		}
	}
	return true
}
