//go:build unix

package main

import (
	"context"
	"io"
	"slices"
	"syscall"
	"time"

	trivium "trivium.internal/go"
	triviumv1 "trivium.internal/go/trivium/v1"
)

// sample is how long things took, one by one, and the time and CPU time that all of them took together.
type sample struct {
	each     []time.Duration
	all, cpu time.Duration
}

// figures are times in microseconds: of one call or token, and CPU time per call or token.
type figures struct {
	P50       float64 `json:"p50_us"`
	P99       float64 `json:"p99_us"`
	CPU       float64 `json:"cpu_us"`
	PerSecond float64 `json:"per_s"`
}

func (s sample) and(other sample) sample {
	return sample{append(s.each, other.each...), s.all + other.all, s.cpu + other.cpu}
}

func (s sample) figures() figures {
	slices.Sort(s.each)
	count := float64(len(s.each))
	return figures{
		P50:       microseconds(s.each[len(s.each)/2]),
		P99:       microseconds(s.each[len(s.each)*99/100]),
		CPU:       microseconds(s.cpu) / count,
		PerSecond: count / s.all.Seconds(),
	}
}

func microseconds(d time.Duration) float64 {
	return float64(d.Nanoseconds()) / 1000
}

// unary makes calls with one response, one after the other.
func unary(ctx context.Context, stub triviumv1.TextGenerationServiceClient, calls int) (sample, error) {
	return timed(func() ([]time.Duration, error) {
		each := make([]time.Duration, 0, calls)
		request := &triviumv1.CountTokensRequest{Input: trivium.Chat(trivium.User("What is the capital of Japan?"))}
		for range calls {
			started := time.Now()
			if _, err := stub.CountTokens(ctx, request); err != nil {
				return nil, err
			}
			each = append(each, time.Since(started))
		}
		return each, nil
	})
}

// streamed reads so many streams at once, each so often, and times each token.
func streamed(ctx context.Context, stub triviumv1.TextGenerationServiceClient, atOnce, times int) (sample, error) {
	return timed(func() ([]time.Duration, error) {
		type outcome struct {
			each []time.Duration
			err  error
		}
		outcomes := make(chan outcome, atOnce)
		for range atOnce {
			go func() {
				var came outcome
				for range times {
					if came.err = readAll(ctx, stub, &came.each); came.err != nil {
						break
					}
				}
				outcomes <- came
			}()
		}
		var each []time.Duration
		for range atOnce {
			came := <-outcomes
			if came.err != nil {
				return nil, came.err
			}
			each = append(each, came.each...)
		}
		return each, nil
	})
}

func readAll(ctx context.Context, stub triviumv1.TextGenerationServiceClient, each *[]time.Duration) error {
	stream, err := stub.StreamGenerate(ctx, &triviumv1.StreamGenerateRequest{})
	if err != nil {
		return err
	}
	for {
		started := time.Now()
		if _, err := stream.Recv(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		*each = append(*each, time.Since(started))
	}
}

func timed(do func() ([]time.Duration, error)) (sample, error) {
	started, used := time.Now(), cpuTime()
	each, err := do()
	return sample{each, time.Since(started), cpuTime() - used}, err
}

// cpuTime returns what this process has used, of all its threads.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // it fails for wrong arguments only
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
