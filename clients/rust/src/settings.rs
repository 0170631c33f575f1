//! What a client is made with.

use std::time::Duration;

use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity, Uri};

use crate::error::Error;
use crate::metadata::{Given, checked_token};
use crate::target::{DEFAULT_TARGET, Place, Target};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const RUST_VERSION: &str = env!("TRIVIUM_RUST_VERSION");
/// Below this the server takes pings for abuse.
const PING_INTERVAL: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// How much of a stream the server may send ahead of its reader.
const STREAM_WINDOW: u32 = 1 << 20;
/// As large as HTTP/2 knows, so that streams which nobody reads hold up no other. h2 (since 0.4.16) also derives from it
/// how many small messages may wait unread before it takes the server for hostile and ends the connection: at hyper's
/// default, about twelve thousand tokens of all streams together.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// Certificates of an encrypted connection, as PEM.
///
/// What is not given is the machine's own roots, no client certificate, and the host of the target as name.
#[derive(Clone, Default)]
pub struct Tls {
    root_certificates: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    server_name: Option<String>,
}

impl Tls {
    /// TLS with the machine's own roots.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts these roots instead of the machine's own.
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates = Some(pem.into());
        self
    }

    /// Names this client to the server (mutual TLS).
    #[must_use]
    pub fn identity(mut self, certificate: impl Into<Vec<u8>>, private_key: impl Into<Vec<u8>>) -> Self {
        self.identity = Some((certificate.into(), private_key.into()));
        self
    }

    /// Checks the server's certificate against this name instead of the target's host.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    fn config(&self, host: &str) -> ClientTlsConfig {
        let mut config = ClientTlsConfig::new().domain_name(self.server_name.as_deref().unwrap_or(host));
        config = match &self.root_certificates {
            Some(pem) => config.ca_certificate(Certificate::from_pem(pem)),
            None => config.with_native_roots(),
        };
        match &self.identity {
            Some((certificate, key)) => config.identity(Identity::from_pem(certificate, key)),
            None => config,
        }
    }
}

/// Does not show the private key.
impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("has_root_certificates", &self.root_certificates.is_some())
            .field("has_identity", &self.identity.is_some())
            .field("server_name", &self.server_name)
            .finish()
    }
}

/// Whether and how a connection is encrypted: `true`, `false` or a [`Tls`].
#[derive(Clone, Debug)]
pub enum Encryption {
    /// Plain text.
    Off,
    /// TLS.
    On(Tls),
}

impl From<bool> for Encryption {
    fn from(is_on: bool) -> Self {
        if is_on { Self::On(Tls::new()) } else { Self::Off }
    }
}

impl From<Tls> for Encryption {
    fn from(tls: Tls) -> Self {
        Self::On(tls)
    }
}

/// What [`Client::builder`](crate::Client::builder) collects, unchecked.
#[derive(Clone)]
pub(crate) struct Wishes {
    pub(crate) target: Option<String>,
    pub(crate) encryption: Option<Encryption>,
    pub(crate) token: Option<String>,
    pub(crate) metadata: Given,
    pub(crate) timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) max_attempts: u32,
    pub(crate) max_message_size: usize,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            target: None,
            encryption: None,
            token: None,
            metadata: Given::default(),
            timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            max_attempts: 4,
            max_message_size: 16 * 1024 * 1024,
        }
    }
}

/// Where the server is and how to talk to it, checked.
pub(crate) struct Settings {
    pub(crate) target: Target,
    pub(crate) endpoint: Endpoint,
    /// Sent with every call.
    pub(crate) headers: MetadataMap,
    pub(crate) timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) max_attempts: u32,
    pub(crate) max_message_size: usize,
}

impl Settings {
    pub(crate) fn check(wishes: &Wishes) -> Result<Self, Error> {
        let target = Target::parse(&wishes.target.clone().unwrap_or_else(default_target))?;
        let encryption = encryption(&target, wishes.encryption.clone())?;
        if wishes.max_attempts == 0 {
            return Err(Error::invalid("max_attempts is 0; it must be at least 1"));
        }
        for (name, limit) in [("timeout", wishes.timeout), ("idle_timeout", wishes.idle_timeout)] {
            checked_limit(name, limit)?;
        }
        Ok(Self {
            endpoint: endpoint(&target, &encryption)?,
            headers: headers(wishes)?,
            target,
            timeout: wishes.timeout,
            idle_timeout: wishes.idle_timeout,
            max_attempts: wishes.max_attempts,
            max_message_size: wishes.max_message_size,
        })
    }
}

pub(crate) fn checked_limit(name: &str, limit: Duration) -> Result<(), Error> {
    if limit.is_zero() {
        return Err(Error::invalid(format!("{name} is 0; it must be more")));
    }
    Ok(())
}

fn default_target() -> String {
    std::env::var("TRIVIUM_TARGET")
        .ok()
        .filter(|target| !target.is_empty())
        .unwrap_or_else(|| DEFAULT_TARGET.to_owned())
}

fn encryption(target: &Target, wish: Option<Encryption>) -> Result<Encryption, Error> {
    let by_url = target.is_encrypted;
    match (by_url, &wish) {
        (Some(true), Some(Encryption::Off)) | (Some(false), Some(Encryption::On(_))) => {
            Err(Error::invalid(format!("the URL and tls contradict each other; give \"{target}\" as target, and tls")))
        }
        _ => Ok(wish.unwrap_or_else(|| by_url.unwrap_or(!target.is_local()).into())),
    }
}

fn endpoint(target: &Target, encryption: &Encryption) -> Result<Endpoint, Error> {
    let scheme = if matches!(encryption, Encryption::On(_)) { "https" } else { "http" };
    let authority = match &target.place {
        Place::Unix(_) => "localhost".to_owned(),
        Place::Host { .. } => target.to_string(),
    };
    let refused = |problem: &dyn std::fmt::Display| Error::invalid(format!("target \"{target}\": {problem}"));
    let uri: Uri = format!("{scheme}://{authority}").parse().map_err(|error| refused(&error))?;
    let endpoint = Endpoint::from(uri)
        .user_agent(format!("trivium-rust/{VERSION}"))
        .map_err(|error| refused(&error))?
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(false);
    match encryption {
        Encryption::Off => Ok(endpoint),
        Encryption::On(tls) => endpoint.tls_config(tls.config(target.host())).map_err(|error| {
            let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            Error::invalid(format!("the certificates for TLS cannot be used: {cause}"))
        }),
    }
}

fn headers(wishes: &Wishes) -> Result<MetadataMap, Error> {
    let mut headers = MetadataMap::new();
    wishes.metadata.put_into(&mut headers)?;
    let own = format!("trivium-rust/{VERSION} rust/{RUST_VERSION}");
    headers.insert("trivium-client", ascii(&own));
    if let Some(token) = &wishes.token {
        checked_token(token)?;
        let mut value = ascii(&format!("Bearer {token}"));
        value.set_sensitive(true);
        headers.insert("authorization", value);
    }
    Ok(headers)
}

/// For what is known to be printable ASCII.
pub(crate) fn ascii(text: &str) -> MetadataValue<Ascii> {
    text.parse().expect("checked to be printable ASCII")
}
