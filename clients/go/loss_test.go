package trivium_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	trivium "trivium.internal/go"
	triviumv1 "trivium.internal/go/trivium/v1"
)

// wire is the server's side of one HTTP/2 connection with one call on it.
type wire struct {
	net.Conn
	*http2.Framer
	stream uint32
}

// breakCalls starts a server that accepts connections and, once a call has come, does what the test says with it.
func breakCalls(t *testing.T, do func(wire)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serveWire(conn, do)
		}
	}()
	return listener.Addr().String()
}

func serveWire(conn net.Conn, do func(wire)) {
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	w := wire{Conn: conn, Framer: http2.NewFramer(conn, conn)}
	if w.WriteSettings() != nil {
		return
	}
	for {
		frame, err := w.ReadFrame()
		if err != nil {
			return
		}
		if data, ok := frame.(*http2.DataFrame); ok && data.StreamEnded() {
			w.stream = data.StreamID
			do(w)
		}
	}
}

// headers begins the answer.
func (w wire) headers(pairs ...string) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(pairs); i += 2 {
		encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: w.stream, BlockFragment: block.Bytes(), EndHeaders: true})
}

// event sends a first event, of which so many bytes are missing.
func (w wire) event(missing int) {
	w.headers(":status", "200", "content-type", "application/grpc")
	packed, _ := proto.Marshal(&triviumv1.StreamGenerateResponse{
		Event: &triviumv1.StreamGenerateResponse_Started{Started: &triviumv1.GenerationStarted{ResponseId: "r"}},
	})
	framed := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(packed))), packed...)
	w.WriteData(w.stream, false, framed[:len(framed)-missing])
}

// What gRPC Go makes of what can happen to a connection; the messages were read from it, see lossMarks.
func TestTransportLossIsTold(t *testing.T) {
	reset := func(code http2.ErrCode) func(wire) { return func(w wire) { w.WriteRSTStream(w.stream, code) } }
	closed := func(w wire) { w.Close() }
	cases := map[string]struct {
		after func(wire) // what follows the first event, or comes at once
		code  codes.Code
		loss  bool
	}{
		"closed":                {closed, codes.Unavailable, true},
		"reset by TCP":          {func(w wire) { w.Conn.(*net.TCPConn).SetLinger(0); w.Close() }, codes.Unavailable, true},
		"GOAWAY":                {func(w wire) { w.WriteGoAway(0, http2.ErrCodeInternal, nil); w.Close() }, codes.Unavailable, true},
		"no frame of HTTP/2":    {func(w wire) { w.Write(bytes.Repeat([]byte{0xff}, 64)); w.Close() }, codes.Unavailable, true},
		"RST INTERNAL_ERROR":    {reset(http2.ErrCodeInternal), codes.Internal, true},
		"RST NO_ERROR":          {reset(http2.ErrCodeNo), codes.Internal, true},
		"RST PROTOCOL_ERROR":    {reset(http2.ErrCodeProtocol), codes.Internal, true},
		"RST STREAM_CLOSED":     {reset(http2.ErrCodeStreamClosed), codes.Internal, true},
		"RST unknown":           {reset(99), codes.Unknown, true},
		"RST CANCEL":            {reset(http2.ErrCodeCancel), codes.Canceled, false},
		"RST ENHANCE_YOUR_CALM": {reset(http2.ErrCodeEnhanceYourCalm), codes.ResourceExhausted, false},
		"END_STREAM, no trailers": {func(w wire) {
			w.WriteData(w.stream, true, nil)
		}, codes.Internal, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check := func(when string, do func(wire), kind trivium.Kind) {
				client := connect(t, breakCalls(t, do), trivium.WithMaxAttempts(1))
				_, err := texts(t.Context(), client)
				failed, ok := errors.AsType[*trivium.Error](err)
				if !ok {
					t.Fatalf("%s: %v", when, err)
				}
				t.Logf("%s: %v", when, failed)
				if !c.loss {
					kind = ""
				}
				if failed.Kind != kind || failed.Code != c.code {
					t.Errorf("%s: %s, %v", when, failed.Kind, failed.Code)
				}
			}
			if name != "END_STREAM, no trailers" { // without headers it is no answer of gRPC
				check("before the answer", c.after, trivium.ErrServerUnavailable)
			}
			check("after an event", func(w wire) { w.event(0); c.after(w) }, trivium.ErrConnectionLost)
			check("within the first event", func(w wire) { w.event(3); c.after(w) }, trivium.ErrServerUnavailable)
		})
	}
}
