//go:build unix

// Measures what the client costs beside the bare stub, against a server of fixed answers in a process of its own: a call
// with one response, a streamed token, and 64 streams at once. Prints one JSON object; CPU is that of the client's process.
//
//	go run ./bench
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	trivium "trivium.internal/go"
	triviumv1 "trivium.internal/go/trivium/v1"
)

func main() {
	log.SetFlags(0)
	serving := flag.Bool("serve", false, "be the server; used by the benchmark itself")
	calls := flag.Int("calls", 5000, "calls with one response")
	streams := flag.Int("streams", 200, "streams, one after the other")
	rounds := flag.Int("rounds", 5, "rounds, each of which measures both sides")
	flag.Parse()
	if *serving {
		log.Fatal(serve())
	}
	if err := measure(*calls, *streams, *rounds); err != nil {
		log.Fatal(err)
	}
}

// side is what is measured: the bare stub, or the client of the SDK.
type side struct {
	name string
	stub triviumv1.TextGenerationServiceClient
}

func measure(calls, streams, rounds int) error {
	target, stop, err := startServer()
	if err != nil {
		return err
	}
	defer stop()
	client, err := trivium.NewClient(target)
	if err != nil {
		return err
	}
	defer client.Close()
	channel, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer channel.Close()
	sides := []side{{"stub", triviumv1.NewTextGenerationServiceClient(channel)}, {"sdk", client.Text}}
	report := map[string]any{"language": "go", "runtime": runtime.Version() + ", grpc " + grpc.Version, "calls": calls, "streams": streams, "rounds": rounds}
	ctx := context.Background()
	for _, kind := range []struct {
		name    string
		measure func(context.Context, triviumv1.TextGenerationServiceClient) (sample, error)
	}{
		{"unary_call", func(ctx context.Context, stub triviumv1.TextGenerationServiceClient) (sample, error) {
			return unary(ctx, stub, calls)
		}},
		{"streamed_token", func(ctx context.Context, stub triviumv1.TextGenerationServiceClient) (sample, error) {
			return streamed(ctx, stub, 1, streams)
		}},
		{"streamed_token_64_at_once", func(ctx context.Context, stub triviumv1.TextGenerationServiceClient) (sample, error) {
			return streamed(ctx, stub, 64, max(1, streams/64))
		}},
	} {
		compared, err := compare(ctx, sides, rounds, kind.measure)
		if err != nil {
			return fmt.Errorf("%s: %w", kind.name, err)
		}
		report[kind.name] = compared
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}

// compare measures the sides in turns, so that what else the machine does meets both, and returns their figures.
func compare(
	ctx context.Context,
	sides []side,
	rounds int,
	measure func(context.Context, triviumv1.TextGenerationServiceClient) (sample, error),
) (map[string]figures, error) {
	joined := map[string]sample{}
	for round := range rounds + 1 {
		for _, side := range sides {
			came, err := measure(ctx, side.stub)
			if err != nil {
				return nil, err
			}
			if round > 0 { // the first one warms up
				joined[side.name] = joined[side.name].and(came)
			}
		}
	}
	compared := map[string]figures{}
	for name, all := range joined {
		compared[name] = all.figures()
	}
	return compared, nil
}

// startServer runs this program as the server and returns where it listens.
func startServer() (target string, stop func(), err error) {
	command := exec.Command(os.Args[0], "-serve")
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := command.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		command.Process.Kill()
		command.Wait()
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, err
	}
	return strings.TrimSpace(line), stop, nil
}

// tokensPerStream is how many events with a token each answer has.
const tokensPerStream = 256

// server answers with tokens that are ready.
type server struct {
	triviumv1.UnimplementedTextGenerationServiceServer
}

func (server) CountTokens(context.Context, *triviumv1.CountTokensRequest) (*triviumv1.CountTokensResponse, error) {
	return &triviumv1.CountTokensResponse{TokenCount: 12}, nil
}

func (server) StreamGenerate(
	_ *triviumv1.StreamGenerateRequest, stream grpc.ServerStreamingServer[triviumv1.StreamGenerateResponse],
) error {
	delta := &triviumv1.ContentDelta{Delta: &triviumv1.ContentDelta_Text{Text: " token"}, TokenCount: 1}
	event := &triviumv1.StreamGenerateResponse{Event: &triviumv1.StreamGenerateResponse_Delta{Delta: delta}}
	for event.Sequence = range int64(tokensPerStream) {
		if err := stream.Send(event); err != nil {
			return err
		}
	}
	return stream.Send(&triviumv1.StreamGenerateResponse{
		Sequence: tokensPerStream,
		Event:    &triviumv1.StreamGenerateResponse_Completed{Completed: &triviumv1.GenerationCompleted{}},
	})
}

func serve() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	serving := grpc.NewServer()
	triviumv1.RegisterTextGenerationServiceServer(serving, server{})
	return serving.Serve(listener)
}
