package trivium_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	errdetails "google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	trivium "trivium.internal/go"
	triviumv1 "trivium.internal/go/trivium/v1"
)

// attempt is a call as it reaches the scripted server.
type attempt struct {
	grpc.ServerStream
	number   int // counts from 1
	metadata metadata.MD
}

// deadline returns how long the call may take, and whether it is limited.
func (a attempt) deadline() (time.Duration, bool) {
	at, limited := a.Context().Deadline()
	return time.Until(at), limited
}

// text sends a delta.
func (a attempt) text(sequence int64, text string) error {
	return a.SendMsg(&triviumv1.StreamGenerateResponse{
		Sequence: sequence,
		Event: &triviumv1.StreamGenerateResponse_Delta{Delta: &triviumv1.ContentDelta{
			Delta: &triviumv1.ContentDelta_Text{Text: text},
		}},
	})
}

// completed sends the last event.
func (a attempt) completed(sequence int64) error {
	return a.SendMsg(&triviumv1.StreamGenerateResponse{
		Sequence: sequence,
		Event:    &triviumv1.StreamGenerateResponse_Completed{Completed: &triviumv1.GenerationCompleted{}},
	})
}

// scripted is a server that does what a test says, whatever method is called.
type scripted struct {
	target string
	mutex  sync.Mutex
	calls  []attempt
}

func (s *scripted) attempts() []attempt {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return append([]attempt{}, s.calls...)
}

// script starts a server whose calls are answered by do, until the test ends.
func script(t *testing.T, do func(attempt) error, options ...grpc.ServerOption) *scripted {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return scriptOn(t, listener, do, options...)
}

func scriptOn(t *testing.T, listener net.Listener, do func(attempt) error, options ...grpc.ServerOption) *scripted {
	t.Helper()
	s := &scripted{target: listener.Addr().String()}
	answer := func(_ any, stream grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(stream.Context())
		s.mutex.Lock()
		one := attempt{ServerStream: stream, number: len(s.calls) + 1, metadata: md}
		s.calls = append(s.calls, one)
		s.mutex.Unlock()
		return do(one)
	}
	server := grpc.NewServer(append(options, grpc.UnknownServiceHandler(answer))...)
	t.Cleanup(server.Stop)
	go server.Serve(listener)
	return s
}

// connect makes a client that is closed when the test ends.
func connect(t *testing.T, target string, options ...trivium.Option) *trivium.Client {
	t.Helper()
	client, err := trivium.NewClient(target, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// fails returns an error as a Trivium server makes it.
func fails(code codes.Code, reason trivium.Reason, more ...protoadapt.MessageV1) error {
	info := &errdetails.ErrorInfo{
		Reason: string(reason), Domain: "trivium.v1", Metadata: map[string]string{"model": "m"},
	}
	detailed, err := status.New(code, "it failed").WithDetails(append(more, info)...)
	if err != nil {
		return err
	}
	return detailed.Err()
}

func retryAfter(wait time.Duration) *errdetails.RetryInfo {
	return &errdetails.RetryInfo{RetryDelay: durationpb.New(wait)}
}

// count calls CountTokens.
func count(ctx context.Context, client *trivium.Client, options ...grpc.CallOption) (*triviumv1.CountTokensResponse, error) {
	return client.Text.CountTokens(ctx, &triviumv1.CountTokensRequest{}, options...)
}

// texts reads StreamGenerate to its end, and returns what came and the error.
func texts(ctx context.Context, client *trivium.Client, options ...grpc.CallOption) ([]string, error) {
	var came []string
	request := &triviumv1.StreamGenerateRequest{}
	for event, err := range trivium.Events(client.Text.StreamGenerate(ctx, request, options...)) {
		if err != nil {
			return came, err
		}
		if delta := event.GetDelta(); delta != nil {
			came = append(came, delta.GetText())
		}
	}
	return came, nil
}
