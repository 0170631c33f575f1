package main

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	trivium "trivium.internal/go"
)

// seconds is a time in seconds; nil where the case leaves it to the SDK.
type seconds float64

func (s seconds) duration() time.Duration {
	return time.Duration(float64(s) * float64(time.Second))
}

type testCase struct {
	Case   string         `json:"case"`
	Client clientSettings `json:"client"`
	Call   callSettings   `json:"call"`
	Act    act            `json:"act"`
}

type clientSettings struct {
	Target      string            `json:"target"`
	Token       *string           `json:"token"`
	Timeout     *seconds          `json:"timeout_s"`
	IdleTimeout *seconds          `json:"idle_timeout_s"`
	MaxAttempts *int              `json:"max_attempts"`
	Metadata    map[string]string `json:"metadata"`
	TLS         json.RawMessage   `json:"tls"`
}

type callSettings struct {
	Method      string            `json:"method"`
	Requests    [][]byte          `json:"requests"`
	Timeout     *seconds          `json:"timeout_s"`
	IdleTimeout *seconds          `json:"idle_timeout_s"`
	RequestID   *string           `json:"request_id"`
	Metadata    map[string]string `json:"metadata"`
}

type act struct {
	CancelBefore        bool     `json:"cancel_before"`
	CancelAfter         *seconds `json:"cancel_after_s"`
	CancelAfterMessages *int     `json:"cancel_after_messages"`
	StopAfterMessages   *int     `json:"stop_after_messages"`
	ReadPause           seconds  `json:"read_pause_s"`
	HalfClose           string   `json:"half_close"`
}

type certificates struct {
	Roots       string `json:"root_certificates"`
	Certificate string `json:"certificate"`
	PrivateKey  string `json:"private_key"`
	ServerName  string `json:"server_name"`
}

// options returns the settings of the client that the case gives.
func (c clientSettings) options() ([]trivium.Option, error) {
	var options []trivium.Option
	if c.Token != nil {
		options = append(options, trivium.WithToken(*c.Token))
	}
	if c.Timeout != nil {
		options = append(options, trivium.WithTimeout(c.Timeout.duration()))
	}
	if c.IdleTimeout != nil {
		options = append(options, trivium.WithIdleTimeout(c.IdleTimeout.duration()))
	}
	if c.MaxAttempts != nil {
		options = append(options, trivium.WithMaxAttempts(*c.MaxAttempts))
	}
	if c.Metadata != nil {
		md, err := pairs(c.Metadata)
		if err != nil {
			return nil, err
		}
		options = append(options, trivium.WithMetadata(md))
	}
	switch tls := string(c.TLS); tls {
	case "", "null":
		return options, nil
	case "true":
		return append(options, trivium.WithTLS(nil)), nil
	case "false":
		return append(options, trivium.WithPlaintext()), nil
	}
	var given certificates
	if err := json.Unmarshal(c.TLS, &given); err != nil {
		return nil, err
	}
	config, err := trivium.PEM{
		Roots:       []byte(given.Roots),
		Certificate: []byte(given.Certificate),
		PrivateKey:  []byte(given.PrivateKey),
		ServerName:  given.ServerName,
	}.Config()
	if err != nil {
		return nil, err
	}
	return append(options, trivium.WithTLS(config)), nil
}

// pairs returns metadata as gRPC has it: bytes, in base64 here, under keys that end in "-bin".
func pairs(given map[string]string) (metadata.MD, error) {
	md := metadata.MD{}
	for key, value := range given {
		if strings.HasSuffix(key, "-bin") {
			decoded, err := base64.StdEncoding.DecodeString(value)
			if err != nil {
				return nil, err
			}
			value = string(decoded)
		}
		md.Append(key, value)
	}
	return md, nil
}
