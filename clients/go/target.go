package trivium

import (
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/grpc/resolver"
)

const (
	// DefaultTarget is where a server is looked for when nothing else is said.
	DefaultTarget = "127.0.0.1:50051"
	// TargetVariable is the environment variable that replaces DefaultTarget.
	TargetVariable = "TRIVIUM_TARGET"
)

// target is what gRPC connects to, and what a URL says about encryption: nil where it was no URL.
type target struct {
	address   string
	encrypted *bool
}

var (
	hostAndPort = regexp.MustCompile(`^(\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]@]+):([0-9]+)$`)
	hostOnly    = regexp.MustCompile(`^(\[[^\]]*\]|[^\s:/\[\]@]+):?$`)
)

func defaultTarget() string {
	if named := os.Getenv(TargetVariable); named != "" {
		return named
	}
	return DefaultTarget
}

func parseTarget(text string) (target, error) {
	if scheme, _, found := strings.Cut(text, ":"); found && resolver.Get(scheme) != nil {
		return target{address: text}, nil
	}
	if strings.Contains(text, "@") { // no error shows the password
		return target{}, invalid("target has a user name or password, which have no place in it; token is a setting of its own")
	}
	if strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://") {
		return parseURL(text)
	}
	return target{address: text}, checkHostAndPort(text, text)
}

func parseURL(text string) (target, error) {
	parsed, err := url.Parse(text)
	if err != nil {
		return target{}, invalid("target is no URL that can be read")
	}
	if parsed.Path != "" && parsed.Path != "/" || parsed.RawQuery != "" || parsed.Fragment != "" {
		return target{}, invalid("target has more than host and port; gRPC has no place for it")
	}
	encrypted := parsed.Scheme == "https"
	address := parsed.Host
	if encrypted && parsed.Port() == "" {
		address = strings.TrimSuffix(address, ":") + ":443"
	}
	return target{address: address, encrypted: &encrypted}, checkHostAndPort(address, text)
}

func checkHostAndPort(address, text string) error {
	found := hostAndPort.FindStringSubmatch(address)
	switch {
	case found != nil:
		if port, err := strconv.ParseUint(found[2], 10, 16); err != nil || port == 0 {
			return invalid("target %q has port %s; a port is 1 to 65535", text, found[2])
		}
		return nil
	case hostOnly.MatchString(address):
		host := strings.TrimSuffix(address, ":")
		return invalid("target %q has no port; a Trivium server listens on 50051 unless configured otherwise: %s:50051",
			text, host)
	default:
		return invalid("target %q is not host:port, for example %s", text, DefaultTarget)
	}
}

// isLocal tells whether an address can only be this machine: a loopback address or a Unix socket.
func isLocal(address string) bool {
	if strings.HasPrefix(address, "unix:") || strings.HasPrefix(address, "unix-abstract:") {
		return true
	}
	host := hostOf(address)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// isOneAddress tells whether an address cannot stand for several servers.
func isOneAddress(address string) bool {
	_, err := netip.ParseAddr(hostOf(address))
	return err == nil || isLocal(address)
}

func hostOf(address string) string {
	if scheme, rest, found := strings.Cut(address, ":"); found && resolver.Get(scheme) != nil {
		address = rest[strings.LastIndex(rest, "/")+1:]
	}
	host := address
	if at := strings.LastIndex(address, ":"); at >= 0 {
		host = address[:at]
	}
	return strings.Trim(host, "[]")
}
