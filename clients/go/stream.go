package trivium

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	triviumv1 "trivium.internal/go/trivium/v1"
)

// NewStream opens a stream. One with a single request is sent with it, by the stub; its failures, once they may not be
// tried again, are those of the first read.
func (c *conn) NewStream(
	ctx context.Context, desc *grpc.StreamDesc, method string, options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	call, err := c.prepare(ctx, method, options)
	if err != nil {
		return nil, err
	}
	s := &stream{call: call, desc: desc, options: options, attempts: attempts{limit: c.settings.maxAttempts}}
	call.ctx, s.cancel = context.WithCancel(context.WithValue(call.ctx, streamKey{}, s))
	s.idle = newIdleLimit(call.idleTimeout, s.expire)
	if !desc.ClientStreams {
		return s, nil
	}
	if err := s.open(); err != nil {
		failed := s.failure(err)
		s.cancel()
		return nil, failed.Error
	}
	return s, nil
}

// streamKey finds the stream in its own context, below the types of generated code.
type streamKey struct{}

// endStream ends a stream of this package, at the server too. Its reader gets the error, or that of a cancelled call
// where there is none. A stream that is over is left alone.
func endStream(of grpc.ClientStream, why *Error) {
	if s, ok := of.Context().Value(streamKey{}).(*stream); ok {
		s.end(why)
	}
}

// stream is a call with many responses. Like every stream of gRPC it may be sent on by one goroutine and read by
// another.
type stream struct {
	call    *call
	desc    *grpc.StreamDesc
	options []grpc.CallOption
	cancel  context.CancelFunc

	idle *idleLimit
	why  atomic.Pointer[Error] // this side ended the stream, and why

	mutex   sync.Mutex
	current grpc.ClientStream // the attempt at hand
	openErr error             // why there is none

	// Of the reader, or set before it reads.
	request  any
	attempts attempts
	begun    bool
	replay   *replay // where a stream that breaks goes on in another one
	loss     *Error  // how the stream before this one broke
	course   course
	over     error
}

// expire is called when the idle limit has passed in a read.
func (s *stream) expire() {
	s.end(&Error{
		Code:      codes.DeadlineExceeded,
		Kind:      ErrStreamIdle,
		Message:   fmt.Sprintf("no message for %v", s.call.idleTimeout),
		RequestID: s.call.requestID,
	})
}

func (s *stream) end(why *Error) {
	s.why.CompareAndSwap(nil, why)
	s.cancel()
}

// open begins an attempt.
func (s *stream) open() error {
	s.attempts.made++
	var opened grpc.ClientStream
	err := s.idle.during(func() (err error) {
		opened, err = s.call.conn.channel.NewStream(s.call.ctx, s.desc, s.call.method, s.options...)
		if err == nil && !s.desc.ClientStreams {
			err = sendOnly(opened, s.request)
		}
		return err
	})
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.current, s.openErr = opened, err
	return err
}

// sendOnly sends the request of a stream that has a single one.
func sendOnly(opened grpc.ClientStream, request any) error {
	// An EOF says that the stream is over already; the read tells why.
	if err := opened.SendMsg(request); err != nil && err != io.EOF {
		return err
	}
	return opened.CloseSend()
}

// attempt returns the attempt at hand, or why it could not be begun.
func (s *stream) attempt() (grpc.ClientStream, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.current, s.openErr
}

// SendMsg sends the next request.
func (s *stream) SendMsg(message any) error {
	if err := s.call.checkSize(message); err != nil {
		if !s.desc.ClientStreams {
			s.cancel() // the stub gives the stream up
		}
		return err
	}
	if !s.desc.ClientStreams {
		s.request, s.replay = message, replayOf(message)
		_ = s.open() // the read sees why it failed, and may try again
		return nil
	}
	current, _ := s.attempt()
	err := current.SendMsg(message)
	if err == nil || err == io.EOF {
		return err
	}
	return s.call.failure(err, nil, false).Error
}

// CloseSend says that no request follows.
func (s *stream) CloseSend() error {
	if !s.desc.ClientStreams {
		return nil // it went with the request
	}
	s.idle.halfClose()
	current, _ := s.attempt()
	return current.CloseSend()
}

// RecvMsg reads the next response. It returns io.EOF at the end of a stream that is whole, and an *Error for any other;
// the call is over then.
func (s *stream) RecvMsg(into any) error {
	if s.over != nil {
		return s.over
	}
	err := s.receive(into)
	if err != nil {
		s.over = err
		s.cancel()
	}
	return err
}

func (s *stream) receive(into any) error {
	message, isProto := into.(proto.Message)
	if !isProto {
		return invalid("a stream of Trivium has Protobuf messages, not %T", into)
	}
	err := s.readNew(into)
	switch {
	case err == nil:
		err = s.course.accept(message)
	case err == io.EOF || s.course.isComplete:
		err = s.course.end(message)
	}
	return s.named(err)
}

// readNew reads the next message that the caller has not had yet.
func (s *stream) readNew(into any) error {
	for {
		if err := s.read(into); err != nil {
			return err
		}
		if s.begun = true; s.desc.ClientStreams {
			s.idle.listen()
		}
		event, ok := into.(*triviumv1.StreamGenerateResponse)
		if s.replay == nil || !ok {
			return nil
		}
		switch isNew, isSame := s.replay.take(event); {
		case !isSame:
			return s.loss
		case isNew:
			return nil
		}
	}
}

// read reads from the stream, and sends the call again where it may be. Its error is io.EOF or an *Error.
func (s *stream) read(into any) error {
	for {
		if own := s.ended(); own != nil {
			return own
		}
		current, err := s.attempt()
		if err == nil {
			err = s.idle.during(func() error { return current.RecvMsg(into) })
		}
		if err == nil || err == io.EOF {
			return err
		}
		failed := s.failure(err)
		if s.begun && s.replay == nil || s.course.isComplete || s.desc.ClientStreams {
			return failed.Error
		}
		if s.replay != nil && s.replay.hasProgressed {
			s.attempts.made = 1
		}
		if err := s.call.again(&s.attempts, failed); err != nil {
			return err
		}
		if s.loss = failed.Error; s.replay != nil {
			s.replay.restart()
		}
		_ = s.open() // the next round sees why it failed
	}
}

func (s *stream) failure(err error) failure {
	if own := s.why.Load(); own != nil {
		return failure{Error: own}
	}
	return s.call.failure(err, s.Trailer(), s.begun)
}

// ended returns why this side ended the stream, nil where it did not.
func (s *stream) ended() *Error {
	if own := s.why.Load(); own != nil {
		return own
	}
	return s.call.ended()
}

// named puts the request id into an error that has none.
func (s *stream) named(err error) error {
	if own, ok := err.(*Error); ok && own.RequestID == "" {
		own.RequestID = s.call.requestID
	}
	return err
}

// Header waits for the initial metadata of the attempt at hand. Read a message first where retries matter.
func (s *stream) Header() (metadata.MD, error) {
	current, err := s.attempt()
	if err != nil {
		return nil, s.call.failure(err, nil, false).Error
	}
	header, err := current.Header()
	if err != nil {
		return nil, s.call.failure(err, current.Trailer(), false).Error
	}
	return header, nil
}

// Trailer returns the trailing metadata, once a read returned an error.
func (s *stream) Trailer() metadata.MD {
	if current, _ := s.attempt(); current != nil {
		return current.Trailer()
	}
	return nil
}

// Context returns the context of the stream.
func (s *stream) Context() context.Context {
	return s.call.ctx
}
