//! The connections of a client: one, or one to each address of a name that has several.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::Instant;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};
use tower_service::Service;

use crate::target::{Place, Target};
use crate::tidy::Tidy;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long an address that could not be reached is passed over while there are others.
const REST: Duration = Duration::from_secs(5);
/// A name is looked up again at most so often, and only after an address could not be reached.
const LOOKUP_INTERVAL: Duration = Duration::from_secs(30);

/// Made without a connection; each is made at its first call, and made anew when it is lost.
pub(crate) struct Pool {
    endpoint: Endpoint,
    target: Target,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    slots: Vec<Slot>,
    next: usize,
    looked_up: Option<Instant>,
    is_stale: bool,
}

struct Slot {
    connection: Connection,
    rests_until: Option<Instant>,
}

/// A channel to one address, or to the target as it is.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) channel: Tidy<Channel>,
    address: Option<SocketAddr>,
}

impl Pool {
    pub(crate) fn new(endpoint: Endpoint, target: Target) -> Self {
        Self { endpoint, target, state: Mutex::default() }
    }

    /// Returns the next connection, round robin, and how many there are. Fails where the name cannot be looked up.
    pub(crate) async fn pick(&self) -> Result<(Connection, usize), Status> {
        if let Some(name) = self.target.balanced()
            && self.must_look_up()
        {
            self.look_up(name).await?;
        }
        let mut state = self.lock();
        if state.slots.is_empty() {
            let slot = self.slot(None);
            state.slots.push(slot);
        }
        Ok((state.pick(Instant::now()), state.slots.len()))
    }

    /// Passes over a connection that could not be made, for a while.
    pub(crate) fn rest(&self, connection: &Connection) {
        let mut state = self.lock();
        state.is_stale = true;
        for slot in &mut state.slots {
            if slot.connection.address == connection.address {
                slot.rests_until = Some(Instant::now() + REST);
            }
        }
    }

    fn must_look_up(&self) -> bool {
        let state = self.lock();
        state.looked_up.is_none_or(|at| state.is_stale && at.elapsed() >= LOOKUP_INTERVAL)
    }

    async fn look_up(&self, (host, port): (&str, u16)) -> Result<(), Status> {
        match lookup_host((host, port)).await {
            Ok(addresses) => self.learn(addresses),
            Err(error) if self.lock().slots.is_empty() => {
                return Err(Status::unavailable(format!("{host} cannot be looked up: {error}")));
            }
            Err(_) => self.learn(self.addresses()), // those known so far may still be right
        }
        Ok(())
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.lock().slots.iter().filter_map(|slot| slot.connection.address).collect()
    }

    /// Takes the addresses of the name, and keeps the connections to those that it had before.
    pub(crate) fn learn(&self, addresses: impl IntoIterator<Item = SocketAddr>) {
        let mut state = self.lock();
        let mut known = std::mem::take(&mut state.slots);
        for address in addresses {
            let at = known.iter().position(|slot| slot.connection.address == Some(address));
            state.slots.push(at.map_or_else(|| self.slot(Some(address)), |at| known.swap_remove(at)));
        }
        if state.looked_up.is_none() {
            state.next = fastrand::usize(..state.slots.len().max(1)); // clients that start together spread out
        }
        state.looked_up = Some(Instant::now());
        state.is_stale = false;
    }

    fn slot(&self, address: Option<SocketAddr>) -> Slot {
        let dial = match (&self.target.place, address) {
            (_, Some(address)) => Dial::Address(address),
            (Place::Unix(path), None) => Dial::Unix(path.clone().into()),
            (Place::Host { host, port }, None) => Dial::Host(host.as_str().into(), *port),
        };
        let channel = Tidy(self.endpoint.connect_with_connector_lazy(Connector(dial)));
        Slot { connection: Connection { channel, address }, rests_until: None }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn pick(&mut self, now: Instant) -> Connection {
        let count = self.slots.len();
        let order = (0..count).map(|step| (self.next + step) % count);
        let is_rested = |at: &usize| self.slots[*at].rests_until.is_none_or(|until| until <= now);
        let at = order.clone().find(is_rested).unwrap_or(self.next % count);
        self.next = (at + 1) % count;
        self.slots[at].connection.clone()
    }
}

/// Opens the connections that tonic asks for.
#[derive(Clone)]
struct Connector(Dial);

#[derive(Clone)]
enum Dial {
    Address(SocketAddr),
    Host(Arc<str>, u16),
    Unix(Arc<std::path::Path>),
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

type Opening<T> = std::pin::Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Io>>;
    type Error = io::Error;
    type Future = Opening<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let dial = self.0.clone();
        Box::pin(async move {
            let opened = tokio::time::timeout(CONNECT_TIMEOUT, dial.open()).await;
            Ok(TokioIo::new(opened.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??))
        })
    }
}

impl Dial {
    async fn open(self) -> io::Result<Box<dyn Io>> {
        let stream = match self {
            Self::Address(address) => TcpStream::connect(address).await?,
            Self::Host(host, port) => TcpStream::connect((&*host, port)).await?,
            Self::Unix(path) => return unix(&path).await,
        };
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}

#[cfg(unix)]
async fn unix(path: &std::path::Path) -> io::Result<Box<dyn Io>> {
    Ok(Box::new(tokio::net::UnixStream::connect(path).await?))
}

#[cfg(not(unix))]
async fn unix(_: &std::path::Path) -> io::Result<Box<dyn Io>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no Unix sockets"))
}
