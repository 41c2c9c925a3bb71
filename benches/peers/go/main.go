// The workloads of `pagemark bench`, in Go: what they do is said in lab/src/bench/workloads/NAME.rs, and done here as one
// would do it in Go.
//
//	NAME.go      one workload: build, run.begin, run.step after each step, run.end, check
//	trees.go     the tree of 24-byte nodes that two of them share
//	run.go       what is measured: moments, processor time, pauses
//	random.go    random numbers, the same as everywhere
//	fold.go      one number for everything that lives
//
// The heap's size comes from the environment (GOGC, GOMEMLIMIT), which `peer run` sets.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// A workload builds, steps and checks. The number is computed over everything that lives at the end.
type workload func(*run) (uint64, error)

var workloads = map[string]workload{
	"arrays":       arrays,
	"binary-trees": binaryTrees,
	"churn":        churn,
	"gcold":        gcold,
	"graph":        graph,
	"lru":          lru,
	"mt-gcbench":   mtGCBench,
	"pusher":       pusher,
	"quads":        quads,
	"queue":        queue,
	"scatter":      scatter,
	"splay":        splay,
	"sweep":        sweep,
}

// What is garbage is put here, or the compiler would see that nobody needs it and not allocate it at all.
var (
	sinkBytes []byte
	sinkNode  *node
	sinkQuad  *quad
	sinkHole  []*benchNode
)

func main() {
	if err := perform(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// perform runs the workload that the arguments name and prints its result. A panic is a failed run like any other: left
// alone it would end the process with the status that means "out of memory".
func perform(arguments []string) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("the workload panicked: %v", cause)
		}
	}()
	if len(arguments) == 0 {
		return errors.New("usage: WORKLOAD --steps FILE --threads 1 --PARAMETER VALUE ...")
	}
	name := arguments[0]
	work, known := workloads[name]
	if !known {
		return fmt.Errorf("there is no workload %q", name)
	}
	steps, values, err := options(arguments[1:])
	if err != nil {
		return err
	}
	if steps == "" {
		return errors.New("--steps is missing")
	}
	if values["threads"] > 1 {
		return errors.New("peers run with one thread")
	}

	r := newRun(values)
	check, err := work(r)
	if err != nil {
		return err
	}
	result, err := r.result(steps)
	if err != nil {
		return err
	}
	result.Peer, result.Version = "go", strings.TrimPrefix(runtime.Version(), "go")
	result.Workload, result.Check = name, strconv.FormatUint(check, 10)
	return json.NewEncoder(os.Stdout).Encode(result)
}

// options takes pairs of --NAME VALUE: the file for the steps, and numbers. The first --steps is the file; a second one is the
// parameter of that name, which some workloads have.
func options(arguments []string) (steps string, values map[string]uint64, err error) {
	values = make(map[string]uint64)
	for ; len(arguments) > 0; arguments = arguments[2:] {
		name, isOption := strings.CutPrefix(arguments[0], "--")
		if !isOption || len(arguments) < 2 {
			return "", nil, fmt.Errorf("%q is not an option with a value", arguments[0])
		}
		if name == "steps" && steps == "" {
			steps = arguments[1]
		} else if values[name], err = strconv.ParseUint(arguments[1], 10, 64); err != nil {
			return "", nil, fmt.Errorf("--%s: %w", name, err)
		}
	}
	return steps, values, nil
}
