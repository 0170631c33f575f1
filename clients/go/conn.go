package trivium

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// conn is a connection with the manners of the client: every generated stub works on it. It adds metadata, deadline and
// request id, sends calls again, limits idle streams, checks that streams are whole, and makes every error an *Error.
type conn struct {
	channel  *grpc.ClientConn
	settings *settings
	closed   chan struct{}
	close    func() error
}

func newConn(channel *grpc.ClientConn, settings *settings) *conn {
	c := &conn{channel: channel, settings: settings, closed: make(chan struct{})}
	c.close = sync.OnceValue(func() error {
		close(c.closed)
		return channel.Close()
	})
	return c
}

// Close ends the connection and all calls on it.
func (c *conn) Close() error {
	return c.close()
}

// Invoke makes a call with one response.
func (c *conn) Invoke(ctx context.Context, method string, args, reply any, options ...grpc.CallOption) error {
	call, err := c.prepare(ctx, method, options)
	if err != nil {
		return err
	}
	if err := call.checkSize(args); err != nil {
		return err
	}
	ctx, cancel := c.limit(call.ctx)
	defer cancel()
	call.ctx = ctx
	var trailer metadata.MD
	options = append(options[:len(options):len(options)], grpc.Trailer(&trailer))
	attempts := attempts{limit: c.settings.maxAttempts}
	for {
		attempts.made++
		trailer = nil
		err := c.channel.Invoke(ctx, method, args, reply, options...)
		if err == nil {
			return nil
		}
		if err := call.again(&attempts, call.failure(err, trailer, false)); err != nil {
			return err
		}
	}
}

// limit adds the deadline of a call with one response, where the context has none.
func (c *conn) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has || c.settings.timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.settings.timeout)
}

// call is what stays the same over the attempts of one call. Its context carries the metadata.
type call struct {
	conn        *conn
	ctx         context.Context
	method      string
	requestID   string
	idleTimeout time.Duration
}

func (c *conn) prepare(ctx context.Context, method string, options []grpc.CallOption) (*call, error) {
	wanted := readCallOptions(options)
	id := wanted.requestID
	if id == "" {
		id = newRequestID()
	}
	idle := c.settings.idleTimeout
	if isQuiet[method] {
		idle = 0
	}
	if wanted.idleTimeout != nil {
		idle = *wanted.idleTimeout
	}
	if err := checkLimit("idle timeout", idle); err != nil {
		return nil, err
	}
	if err := checkRequestID(id); err != nil {
		return nil, err
	}
	md, err := c.metadata(ctx, id)
	if err != nil {
		return nil, err
	}
	if wanted.sentRequestID != nil {
		*wanted.sentRequestID = id
	}
	ctx = metadata.NewOutgoingContext(ctx, md)
	return &call{conn: c, ctx: ctx, method: method, requestID: id, idleTimeout: idle}, nil
}

// metadata joins the client's, the call's and this package's own; the later replace keys of the former.
func (c *conn) metadata(ctx context.Context, requestID string) (metadata.MD, error) {
	joined := c.settings.metadata.Copy()
	if given, ok := metadata.FromOutgoingContext(ctx); ok {
		if err := checkMetadata(given); err != nil {
			return nil, err
		}
		for key, values := range given {
			joined[key] = values
		}
	}
	joined.Set(requestIDKey, requestID)
	joined.Set(clientKey, clientName)
	if c.settings.bearer != nil {
		joined.Set(authorizationKey, c.settings.bearer())
	}
	return joined, nil
}

// checkSize refuses a request that gRPC would not send, which it words like an exhausted quota.
func (c *call) checkSize(request any) error {
	message, ok := request.(proto.Message)
	if !ok {
		return nil
	}
	if size, limit := proto.Size(message), c.conn.settings.maxMessageBytes; size > limit {
		refused := invalid("the request has %d bytes; the limit is %d", size, limit)
		refused.RequestID = c.requestID
		return refused
	}
	return nil
}

// failure reads what gRPC reports, and tells the ends that this side made from those that the other side made.
func (c *call) failure(err error, trailer metadata.MD, begun bool) failure {
	read := readFailure(err, trailer, c.requestID, begun)
	if read.isLoss && strings.Contains(read.Message, "connection refused") {
		read.Message = fmt.Sprintf("no server listens at %s; `trivium serve` starts one", c.conn.settings.target.address)
	}
	if read.Reason != "" || !read.isLoss && read.Code != codes.Canceled && read.Code != codes.DeadlineExceeded {
		return read
	}
	if own := c.ended(); own != nil {
		own.Usage = read.Usage
		return failure{Error: own}
	}
	return read
}

// ended returns why this side ended the call, nil where it did not.
func (c *call) ended() *Error {
	select {
	case <-c.conn.closed:
		return &Error{Code: codes.Canceled, Kind: ErrCancelled, Message: "the client was closed", RequestID: c.requestID}
	default:
	}
	if c.ctx.Err() == nil {
		return nil
	}
	from := status.FromContextError(c.ctx.Err())
	own := &Error{Code: from.Code(), Message: from.Message(), RequestID: c.requestID, cause: context.Cause(c.ctx)}
	switch own.Code {
	case codes.Canceled:
		own.Kind = ErrCancelled
	case codes.DeadlineExceeded:
		own.Message = "the deadline of the call passed"
	}
	return own
}

// again waits until the call may be sent again. It returns the error where it may not.
func (c *call) again(attempts *attempts, failed failure) error {
	wait, ok := attempts.delay(c.ctx, failed)
	if !ok {
		return failed.Error
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.ctx.Done():
	case <-c.conn.closed:
	}
	return c.ended()
}
