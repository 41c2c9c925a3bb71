package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime/metrics"
	"syscall"
	"time"
	"unsafe"
)

// A run notes what happens between begin and end.
type run struct {
	values map[string]uint64
	made   time.Time

	ends  []uint64 // when each step ended, in nanoseconds after began
	count int
	began time.Time
	setup float64

	elapsed      float64
	user, kernel float64
	pausesBefore *metrics.Float64Histogram
	pauses       *pauses
}

// result is what is printed.
type result struct {
	Peer     string  `json:"peer"`
	Version  string  `json:"version"`
	Workload string  `json:"workload"`
	Setup    float64 `json:"setup_s"`
	Elapsed  float64 `json:"elapsed_s"`
	Check    string  `json:"check"`
	User     float64 `json:"cpu_user_s"`
	Kernel   float64 `json:"cpu_kernel_s"`
	Pauses   *pauses `json:"pauses"`
}

func newRun(values map[string]uint64) *run {
	return &run{values: values, made: time.Now()}
}

// value is a parameter of the workload. Every parameter is always given.
func (r *run) value(name string) uint64 {
	value, given := r.values[name]
	if !given {
		panic("--" + name + " is missing")
	}
	return value
}

// begin says that everything is built, and so many steps will follow. What comes until end is measured.
func (r *run) begin(steps uint64) error {
	var err error
	if r.ends, err = outsideOfTheHeap(steps); err != nil {
		return fmt.Errorf("no memory for the moments of %d steps: %w", steps, err)
	}
	r.pausesBefore = readPauses()
	r.user, r.kernel = cpu()
	r.began = time.Now()
	r.setup = r.began.Sub(r.made).Seconds()
	return nil
}

// step says that a step ended.
func (r *run) step() {
	r.ends[r.count] = uint64(time.Since(r.began))
	r.count++
}

// end says that all steps are done.
func (r *run) end() {
	r.elapsed = time.Since(r.began).Seconds()
	user, kernel := cpu()
	r.user, r.kernel = user-r.user, kernel-r.kernel
	r.pauses = pausesBetween(r.pausesBefore, readPauses())
}

// result is what was measured; the steps go to a file.
func (r *run) result(steps string) (*result, error) {
	if r.count != len(r.ends) {
		return nil, fmt.Errorf("there were %d steps, not %d", r.count, len(r.ends))
	}
	if err := r.write(steps); err != nil {
		return nil, err
	}
	return &result{Setup: r.setup, Elapsed: r.elapsed, User: r.user, Kernel: r.kernel, Pauses: r.pauses}, nil
}

func (r *run) write(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(file)
	return errors.Join(
		binary.Write(out, binary.LittleEndian, uint64(len(r.ends))),
		binary.Write(out, binary.LittleEndian, r.ends),
		out.Flush(),
		file.Close(),
	)
}

// outsideOfTheHeap is room for so many numbers, touched already. The moments are not the program's, so they shall not count
// against its memory limit, nor shall the collector see them.
func outsideOfTheHeap(numbers uint64) ([]uint64, error) {
	if numbers == 0 {
		return nil, nil
	}
	bytes, err := syscall.Mmap(-1, 0, 8*int(numbers), syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_PRIVATE|syscall.MAP_ANONYMOUS|syscall.MAP_POPULATE)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*uint64)(unsafe.Pointer(&bytes[0])), numbers), nil
}

// cpu is the process's processor time.
func cpu() (user, kernel float64) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(usage.Utime), seconds(usage.Stime)
}

// pauses are the collector's own: from the moment it asks all to stop until they run again.
type pauses struct {
	Count uint64    `json:"count"`
	P50   float64   `json:"p50_ms"`
	P99   float64   `json:"p99_ms"`
	Max   float64   `json:"max_ms"`
	Each  []float64 `json:"each_ms"`
}

func readPauses() *metrics.Float64Histogram {
	sample := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	metrics.Read(sample)
	return sample[0].Value.Float64Histogram()
}

// pausesBetween is what one reading has more than an earlier one. Go keeps a histogram with four buckets from one power of two
// to the next; each pause is taken for the longest of its bucket. It has them all, as the lists of runtime.MemStats and debug.GCStats
// do not: these end at 256 cycles, and have one sum for the two pauses of a cycle.
func pausesBetween(before, after *metrics.Float64Histogram) *pauses {
	counts := make([]uint64, len(after.Counts))
	var total uint64
	each := []float64{}
	for i := range counts {
		counts[i] = after.Counts[i] - before.Counts[i]
		total += counts[i]
		for range counts[i] {
			each = append(each, after.Buckets[i+1]*1e3)
		}
	}
	// The least bound that so many are not above.
	bound := func(many uint64) float64 {
		var seen uint64
		for i, count := range counts {
			if seen += count; count > 0 && seen >= many {
				return after.Buckets[i+1] * 1e3
			}
		}
		return 0
	}
	return &pauses{
		Count: total,
		P50:   bound((total + 1) / 2),
		P99:   bound((total*99 + 99) / 100),
		Max:   bound(total),
		Each:  each,
	}
}
