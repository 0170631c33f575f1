package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	maxMessageBytes = 64 << 20
	windowBytes     = 16 << 20
)

func connect(name, target string) (transport, error) {
	switch name {
	case "grpc":
		connection, err := grpc.NewClient("passthrough:///"+target,
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			// Windows of a fixed size: else every few messages a ping would measure how big they should be.
			grpc.WithStaticStreamWindowSize(windowBytes), grpc.WithStaticConnWindowSize(windowBytes),
			grpc.WithDefaultCallOptions(grpc.ForceCodec(asIs{}), grpc.MaxCallRecvMsgSize(maxMessageBytes)))
		return overGRPC{connection}, err
	case "sse":
		// A connection for each request: the server may close one while it is stopped between two loads.
		return overSSE{target, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}, nil
	}
	return nil, fmt.Errorf("transport %q is none of grpc, sse", name)
}

type overGRPC struct{ connection *grpc.ClientConn }

func (t overGRPC) stream(ctx context.Context, path string, request []byte, heard func([]byte)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	call, err := t.connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, path)
	if err != nil {
		return err
	}
	if err := call.SendMsg(&request); err != nil {
		return err
	}
	if err := call.CloseSend(); err != nil {
		return err
	}
	for {
		var data []byte
		if err := call.RecvMsg(&data); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		heard(data)
	}
}

// The codec of messages that stay as they are on the wire.
type asIs struct{}

func (asIs) Name() string                      { return "proto" }
func (asIs) Marshal(value any) ([]byte, error) { return *value.(*[]byte), nil }
func (asIs) Unmarshal(data []byte, value any) error {
	*value.(*[]byte) = bytes.Clone(data)
	return nil
}

type overSSE struct {
	target string
	client *http.Client
}

func (t overSSE) stream(ctx context.Context, path string, request []byte, heard func([]byte)) error {
	asked, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+t.target+path, bytes.NewReader(request))
	if err != nil {
		return err
	}
	asked.Header.Set("Content-Type", "application/json")
	answered, err := t.client.Do(asked)
	if err != nil {
		return err
	}
	defer answered.Body.Close()
	lines := bufio.NewReader(answered.Body)
	if answered.StatusCode != http.StatusOK {
		reason, _ := io.ReadAll(io.LimitReader(lines, 500))
		return fmt.Errorf("%s: %s", answered.Status, reason)
	}
	for {
		line, err := lines.ReadBytes('\n')
		if data, isEvent := bytes.CutPrefix(line, []byte("data: ")); isEvent {
			heard(bytes.TrimSpace(data))
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
