package trivium

import (
	"crypto/rand"
	"fmt"
	"time"

	"google.golang.org/grpc"
)

// callOption is a setting of one call. gRPC sees it and ignores it.
type callOption struct {
	grpc.EmptyCallOption
	apply func(*callSettings)
}

// callSettings are what the options of one call say.
type callSettings struct {
	requestID     string
	sentRequestID *string
	idleTimeout   *time.Duration
	model         string
}

// RequestID gives the call its id instead of a random one: 1 to 128 characters of A-Z, a-z, 0-9 and . _ : / + = @ -. All
// attempts send it, as x-request-id.
func RequestID(id string) grpc.CallOption {
	return callOption{apply: func(s *callSettings) { s.requestID = id }}
}

// SentRequestID stores the id that the call is sent with, before anything is sent. Like [grpc.Header], it is for one
// call at a time.
func SentRequestID(id *string) grpc.CallOption {
	return callOption{apply: func(s *callSettings) { s.sentRequestID = id }}
}

// IdleTimeout limits how long this stream may bring no message while it is read; 0 means no limit.
func IdleTimeout(limit time.Duration) grpc.CallOption {
	return callOption{apply: func(s *callSettings) { s.idleTimeout = &limit }}
}

// Model names the model for a short form. Without it the short form takes the only model of the server that can do what
// is asked, and fails with [ErrInvalidCall] where there is none or several. Other methods have the model in their
// request, and ignore this.
func Model(name string) grpc.CallOption {
	return callOption{apply: func(s *callSettings) { s.model = name }}
}

func readCallOptions(options []grpc.CallOption) callSettings {
	var read callSettings
	for _, option := range options {
		if own, ok := option.(callOption); ok {
			own.apply(&read)
		}
	}
	return read
}

// newRequestID returns a random UUID of version 4.
func newRequestID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: it ends the program instead
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
