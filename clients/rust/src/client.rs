//! The client and how it is made.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::error::Error;
use crate::settings::{Encryption, Settings, Wishes};
use crate::transport::Transport;

/// Talks to a Trivium server, or to several behind one name.
///
/// A connection is made at the first call, kept, and made anew when it is lost. Clones share it, and may be used from
/// any task. A client belongs to the Tokio runtime in which its first call is made. Dropping the last clone closes the
/// connection once no call runs; [`close`](Client::close) ends the calls as well.
///
/// ```no_run
/// # async fn example() -> Result<(), trivium::Error> {
/// let client = trivium::Client::from_env()?; // $TRIVIUM_TARGET, else 127.0.0.1:50051
/// let client = trivium::Client::new("https://trivium.example")?;
/// let client = trivium::Client::builder().target("trivium.example:50051").token("…").build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client(Arc<Transport>);

impl Client {
    /// A client of the server at `$TRIVIUM_TARGET`, else at `127.0.0.1:50051`.
    ///
    /// # Errors
    /// [`Kind::InvalidCall`](crate::Kind::InvalidCall) where the variable has no target.
    pub fn from_env() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// A client of the server at `target`: `host:port`, `http://host:port`, `https://host[:port]`,
    /// `dns:///host:port` or `unix:path`.
    ///
    /// # Errors
    /// [`Kind::InvalidCall`](crate::Kind::InvalidCall) where that is no target.
    pub fn new(target: impl Into<String>) -> Result<Self, Error> {
        Self::builder().target(target).build()
    }

    /// Makes a client with other settings.
    pub fn builder() -> Builder {
        Builder(Wishes::default())
    }

    /// Ends all calls of this client and its clones with [`Kind::Cancelled`](crate::Kind::Cancelled), those that are
    /// made later too.
    pub fn close(&self) {
        self.0.closed.cancel();
    }
}

/// Shows the target, and no token.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("target", &self.0.settings.target.to_string()).finish_non_exhaustive()
    }
}

/// The settings of a client to be made; see [`Client::builder`].
#[derive(Clone)]
pub struct Builder(Wishes);

impl Builder {
    /// Where the server is, as in [`Client::new`]. Default: `$TRIVIUM_TARGET`, else `127.0.0.1:50051`.
    #[must_use]
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.0.target = Some(target.into());
        self
    }

    /// Whether the connection is encrypted: `true`, `false`, or certificates as [`Tls`](crate::Tls). Default: as the
    /// scheme of a URL says, else plain text to this machine and TLS to any other.
    #[must_use]
    pub fn tls(mut self, tls: impl Into<Encryption>) -> Self {
        self.0.encryption = Some(tls.into());
        self
    }

    /// Sent with every call as `authorization: Bearer …`. Printable ASCII without blanks.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.0.token = Some(token.into());
        self
    }

    /// Metadata that is sent with every call, printable ASCII.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.metadata.add_text(key.into(), value.into());
        self
    }

    /// Bytes that are sent with every call, under a key that ends in `-bin`.
    #[must_use]
    pub fn metadata_bin(mut self, key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.0.metadata.add_bytes(key.into(), value.into());
        self
    }

    /// How long a call with one response may take, over all its attempts. Default: 60 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout = timeout;
        self
    }

    /// How long a stream may bring nothing before it fails; see
    /// [`StreamCall::idle_timeout`](crate::StreamCall::idle_timeout). Default: 60 s. `Duration::MAX` is for ever.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.0.idle_timeout = timeout;
        self
    }

    /// How often a call is sent at most where it may be sent again. Default: 4. 1 switches retries off.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.0.max_attempts = attempts;
        self
    }

    /// How many bytes a message may have, sent or received. Default: 16 MiB, the server's own default.
    #[must_use]
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.0.max_message_size = bytes;
        self
    }

    /// Makes the client. Nothing is connected yet.
    ///
    /// # Errors
    /// [`Kind::InvalidCall`](crate::Kind::InvalidCall) for a setting that cannot be used.
    pub fn build(self) -> Result<Client, Error> {
        Ok(Client(Arc::new(Transport::new(Settings::check(&self.0)?))))
    }
}

/// Does not show the token.
impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("target", &self.0.target)
            .field("tls", &self.0.encryption)
            .field("has_token", &self.0.token.is_some())
            .finish_non_exhaustive()
    }
}

/// Declares the groups of methods. The methods themselves are generated, one for each RPC of the contract.
macro_rules! groups {
    ($($(#[doc = $doc:literal])* $method:ident: $group:ident,)*) => {
        impl Client {
            $($(#[doc = $doc])* pub fn $method(&self) -> $group { $group(self.0.clone()) })*
        }
        $(
            $(#[doc = $doc])*
            #[derive(Clone)]
            pub struct $group(pub(crate) Arc<Transport>);

            impl fmt::Debug for $group {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.debug_tuple(stringify!($group)).field(&self.0.settings.target.to_string()).finish()
                }
            }
        )*
    };
}

groups! {
    /// Text of language models.
    text: Text,
    /// Vectors of texts, and what can be told by comparing them.
    embeddings: Embeddings,
    /// What texts are about, what they mention, and in which language they are.
    analysis: Analysis,
    /// What images show and say.
    vision: Vision,
    /// Speech to text and text to speech.
    speech: Speech,
    /// Which models there are, and in which state.
    models: Models,
    /// Operates one server.
    admin: Admin,
    /// Whether the server answers, by the health protocol of gRPC.
    health: Health,
}
