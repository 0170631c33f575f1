// The load generator sends requests and notes when each message of an answer arrived; it reads none of them.
//
// For each line of JSON on standard input, a load, it prints one line with what was heard. A load's clients start
// together or after their delay, and each sends its requests one after the other. Times are CLOCK_MONOTONIC's, in
// seconds, so that they compare with those of other processes.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A load on one server. Transport: "grpc", requests are messages and Path is the method; "sse", requests are bodies to
// be posted to Path, and messages are the server-sent events.
type load struct {
	Transport string   `json:"transport"`
	Target    string   `json:"target"`
	Path      string   `json:"path"`
	Clients   []client `json:"clients"`
}

// One client. AfterMessages: it waits until every client without it has had so many messages of its first answer.
type client struct {
	DelayS        float64  `json:"delay_s"`
	AfterMessages int      `json:"after_messages"`
	Requests      [][]byte `json:"requests"`
}

type answer struct {
	SentS    float64   `json:"sent_s"`
	Messages []message `json:"messages"`
	Error    string    `json:"error,omitempty"`
}

type message struct {
	AtS  float64 `json:"at_s"`
	Data []byte  `json:"data"`
}

// A transport sends one request and calls heard with every message as it arrives. The data is the callee's to keep.
type transport interface {
	stream(ctx context.Context, path string, request []byte, heard func(data []byte)) error
}

func now() float64 {
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &at); err != nil {
		panic(err)
	}
	return float64(at.Sec) + float64(at.Nsec)/1e9
}

// Runs one load to its end. A request that fails ends its client.
func (l *load) run(ctx context.Context, server transport) [][]answer {
	heard := make([][]answer, len(l.Clients))
	after := 0
	for _, c := range l.Clients {
		after = max(after, c.AfterMessages)
	}
	var running, early sync.WaitGroup
	for index, c := range l.Clients {
		if c.AfterMessages == 0 && after > 0 {
			early.Add(1)
		}
		running.Add(1)
		go func() {
			defer running.Done()
			time.Sleep(time.Duration(c.DelayS * float64(time.Second)))
			underWay := func() {}
			if c.AfterMessages > 0 {
				early.Wait()
			} else if after > 0 {
				underWay = sync.OnceFunc(early.Done)
				defer underWay()
			}
			for _, request := range c.Requests {
				got := answer{SentS: now()}
				err := server.stream(ctx, l.Path, request, func(data []byte) {
					got.Messages = append(got.Messages, message{now(), data})
					if len(got.Messages) == after {
						underWay()
					}
				})
				if err != nil {
					got.Error = err.Error()
				}
				heard[index] = append(heard[index], got)
				if err != nil {
					return
				}
			}
		}()
	}
	running.Wait()
	return heard
}

func serve(ctx context.Context, lines *bufio.Reader, out *json.Encoder) error {
	servers := map[string]transport{}
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return nil // the end of the input
		}
		var asked load
		if err := json.Unmarshal(line, &asked); err != nil {
			return fmt.Errorf("a load that is no JSON: %w", err)
		}
		key := asked.Transport + " " + asked.Target
		if servers[key] == nil {
			if servers[key], err = connect(asked.Transport, asked.Target); err != nil {
				return err
			}
		}
		if err := out.Encode(asked.run(ctx, servers[key])); err != nil {
			return err
		}
	}
}

func main() {
	if err := serve(context.Background(), bufio.NewReader(os.Stdin), json.NewEncoder(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, "load_generator:", err)
		os.Exit(1)
	}
}
