package trivium

import (
	"context"
	"errors"
	"io"
	"iter"

	"google.golang.org/grpc"
)

// receiver is the reading side of every stream of the generated stubs.
type receiver[Response any] interface {
	grpc.ClientStream
	Recv() (*Response, error)
}

// Events iterates a stream of a stub:
//
//	for event, err := range trivium.Events(client.Text.StreamGenerate(ctx, request)) {
//
// An error is the last that comes. Leaving the loop ends the call, at the server too. Iterate it once.
func Events[Response any](stream receiver[Response], err error) iter.Seq2[*Response, error] {
	return func(yield func(*Response, error) bool) {
		if err != nil {
			yield(nil, err)
			return
		}
		defer endStream(stream, nil)
		for {
			response, err := stream.Recv()
			if err == io.EOF {
				return
			}
			if !yield(response, err) || err != nil {
				return
			}
		}
	}
}

// Converse opens a stream of requests, sends them while it reads, and iterates the answer:
//
//	for event, err := range trivium.Converse(ctx, client.Speech.StreamRecognize, requests) {
//
// The requests are asked for on a goroutine of their own, and half-closed after the last. Leaving the loop ends the call;
// the goroutine ends at the request that follows, so requests that wait for something should watch ctx. Each iteration
// is a call of its own.
func Converse[Request, Response any](
	ctx context.Context,
	open func(context.Context, ...grpc.CallOption) (grpc.BidiStreamingClient[Request, Response], error),
	requests iter.Seq[*Request],
	options ...grpc.CallOption,
) iter.Seq2[*Response, error] {
	return func(yield func(*Response, error) bool) {
		stream, err := open(ctx, options...)
		if err == nil {
			go send(stream, requests)
		}
		Events(stream, err)(yield)
	}
}

func send[Request, Response any](stream grpc.BidiStreamingClient[Request, Response], requests iter.Seq[*Request]) {
	for request := range requests {
		if err := stream.Send(request); err != nil {
			if refused, ok := errors.AsType[*Error](err); ok {
				endStream(stream, refused)
			}
			return // the reader hears why
		}
	}
	_ = stream.CloseSend() // the reader hears of a failure
}
