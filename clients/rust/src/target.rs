//! Where a server is: what people write, and what a connection needs.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::error::Error;

pub(crate) const DEFAULT_TARGET: &str = "127.0.0.1:50051";
const DEFAULT_PORT: u16 = 50051;
const HTTPS_PORT: u16 = 443;

/// A place to connect to. `is_encrypted` is what a URL says about TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) place: Place,
    pub(crate) is_encrypted: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Unix(PathBuf),
    /// `host` is without the brackets of IPv6.
    Host {
        host: String,
        port: u16,
    },
}

impl Target {
    /// Reads `host:port`, `http://host:port`, `https://host[:port]`, `dns:///host:port` or `unix:path`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let (rest, is_encrypted) = match text.split_once("://") {
            Some(("http", rest)) => (rest, Some(false)),
            Some(("https", rest)) => (rest, Some(true)),
            _ => (text, None),
        };
        if text.contains('@') && !text.starts_with("unix:") {
            // No error shows the password.
            let problem =
                "target has a user name or password, which have no place in it; token is a setting of its own";
            return Err(Error::invalid(problem.to_owned()));
        }
        let place = if is_encrypted.is_some() {
            let address = rest.strip_suffix('/').unwrap_or(rest);
            if address.contains(['/', '?', '#']) {
                return Err(Error::invalid("target has more than host and port; gRPC has no place for it".to_owned()));
            }
            host_and_port(text, address, is_encrypted.filter(|it| *it).map(|_| HTTPS_PORT))?
        } else if let Some(path) = rest.strip_prefix("unix:") {
            unix(text, path.strip_prefix("//").unwrap_or(path))?
        } else {
            let bare = rest.strip_prefix("dns:").unwrap_or(rest);
            host_and_port(text, bare.strip_prefix("///").unwrap_or(bare), None)?
        };
        Ok(Self { place, is_encrypted })
    }

    /// Whether this can only be the same machine.
    pub(crate) fn is_local(&self) -> bool {
        match &self.place {
            Place::Unix(_) => true,
            Place::Host { host, .. } => {
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        }
    }

    /// The name and port whose addresses calls are spread over, where there may be several.
    pub(crate) fn balanced(&self) -> Option<(&str, u16)> {
        match &self.place {
            Place::Host { host, port } if !self.is_local() && host.parse::<IpAddr>().is_err() => Some((host, *port)),
            _ => None,
        }
    }

    /// The name that the server's certificate must have.
    pub(crate) fn host(&self) -> &str {
        match &self.place {
            Place::Unix(_) => "localhost",
            Place::Host { host, .. } => host,
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.place {
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
            Place::Host { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Place::Host { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

fn unix(text: &str, path: &str) -> Result<Place, Error> {
    if path.is_empty() {
        return Err(refused(text, "has no path"));
    }
    Ok(Place::Unix(path.into()))
}

fn host_and_port(text: &str, address: &str, default: Option<u16>) -> Result<Place, Error> {
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None if address.matches(':').count() > 1 => {
            return Err(refused(text, "is an IPv6 address without brackets; write [address]:port"));
        }
        None => address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '@' | '[' | ']')) {
        return Err(refused(text, &format!("is not host:port, for example {DEFAULT_TARGET}")));
    }
    let port = match port.filter(|port| !port.is_empty()) {
        None => default.ok_or_else(|| {
            refused(
                text,
                &format!("has no port; a Trivium server listens on {DEFAULT_PORT} unless configured otherwise"),
            )
        })?,
        Some(port) => port
            .parse::<u16>()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| refused(text, &format!("has port {port}; a port is 1 to 65535")))?,
    };
    Ok(Place::Host { host: host.to_owned(), port })
}

fn refused(text: &str, problem: &str) -> Error {
    Error::invalid(format!("target {text:?} {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(host: &str, port: u16) -> Place {
        Place::Host { host: host.to_owned(), port }
    }

    #[test]
    fn targets_are_read_as_every_sdk_reads_them() {
        for (text, place, is_encrypted) in [
            ("127.0.0.1:50051", host("127.0.0.1", 50051), None),
            ("localhost:1", host("localhost", 1), None),
            ("[::1]:65535", host("::1", 65535), None),
            ("http://a.example:80", host("a.example", 80), Some(false)),
            ("http://a.example:80/", host("a.example", 80), Some(false)),
            ("https://a.example", host("a.example", 443), Some(true)),
            ("https://[2001:db8::1]:8443", host("2001:db8::1", 8443), Some(true)),
            ("dns:///a.example:5", host("a.example", 5), None),
            ("dns:a.example:5", host("a.example", 5), None),
            ("unix:/run/trivium.sock", Place::Unix("/run/trivium.sock".into()), None),
            ("unix:///run/trivium.sock", Place::Unix("/run/trivium.sock".into()), None),
            ("unix:here.sock", Place::Unix("here.sock".into()), None),
        ] {
            assert_eq!(Target::parse(text).unwrap(), Target { place, is_encrypted }, "{text}");
        }
    }

    #[test]
    fn a_refused_target_says_what_is_missing() {
        for (text, problem) in [
            ("", "is not host:port"),
            ("a.example", "has no port"),
            ("http://a.example", "has no port"),
            ("a.example:0", "a port is 1 to 65535"),
            ("a.example:65536", "a port is 1 to 65535"),
            ("::1:50051", "without brackets"),
            ("http://a.example:80/path", "has no place for it"),
            ("http://me@a.example:80", "has a user name or password"),
            ("xds:///a.example:80", "without brackets"),
            ("a b:80", "is not host:port"),
            ("unix:", "has no path"),
        ] {
            let message = Target::parse(text).unwrap_err().to_string();
            assert!(message.contains(problem), "{text}: {message}");
        }
    }

    #[test]
    fn only_names_that_may_be_several_servers_are_balanced() {
        for (text, is_local, is_balanced) in [
            ("127.8.9.1:1", true, false),
            ("[::1]:1", true, false),
            ("localhost:1", true, false),
            ("unix:x", true, false),
            ("192.0.2.1:1", false, false),
            ("a.example:1", false, true),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!((target.is_local(), target.balanced().is_some()), (is_local, is_balanced), "{text}");
        }
    }
}
