//! A case as the suite writes it.

use std::collections::BTreeMap;
use std::future::ready;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::sleep;
use trivium::{Builder, Bytes, Client, Error, Tls};

/// What is called, and how.
pub(crate) struct Case {
    client: Value,
    pub(crate) method: String,
    pub(crate) requests: Vec<Bytes>,
    pub(crate) call: CallOptions,
    pub(crate) act: Act,
}

/// What the call changes.
pub(crate) struct CallOptions {
    pub(crate) timeout: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) request_id: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// What the caller does.
pub(crate) struct Act {
    cancel_before: bool,
    cancel_after: Option<Duration>,
    pub(crate) cancel_after_messages: Option<u64>,
    pub(crate) stop_after_messages: Option<u64>,
    pub(crate) read_pause: Option<Duration>,
    pub(crate) half_closes_on_go_away: bool,
}

impl Case {
    pub(crate) fn read(asked: &Value) -> Result<Self, String> {
        let (call, act) = (&asked["call"], &asked["act"]);
        let requests = call["requests"].as_array().ok_or("the call has no requests")?;
        Ok(Self {
            client: asked["client"].clone(),
            method: call["method"].as_str().ok_or("the call has no method")?.to_owned(),
            requests: requests
                .iter()
                .map(|packed| bytes(packed.as_str().unwrap_or_default()))
                .collect::<Result<_, _>>()?,
            call: CallOptions {
                timeout: seconds(&call["timeout_s"]),
                idle_timeout: seconds(&call["idle_timeout_s"]),
                request_id: call["request_id"].as_str().map(str::to_owned),
                metadata: texts(&call["metadata"]),
            },
            act: Act {
                cancel_before: act["cancel_before"].as_bool().unwrap_or_default(),
                cancel_after: seconds(&act["cancel_after_s"]),
                cancel_after_messages: act["cancel_after_messages"].as_u64(),
                stop_after_messages: act["stop_after_messages"].as_u64(),
                read_pause: seconds(&act["read_pause_s"]),
                half_closes_on_go_away: act["half_close"] == "on_go_away",
            },
        })
    }

    pub(crate) fn client(&self) -> Result<Client, Error> {
        let given = &self.client;
        let mut builder = Client::builder().target(given["target"].as_str().unwrap_or_default());
        if let Some(token) = given["token"].as_str() {
            builder = builder.token(token);
        }
        if let Some(timeout) = seconds(&given["timeout_s"]) {
            builder = builder.timeout(timeout);
        }
        if let Some(timeout) = seconds(&given["idle_timeout_s"]) {
            builder = builder.idle_timeout(timeout);
        }
        if let Some(attempts) = given["max_attempts"].as_u64() {
            builder = builder.max_attempts(u32::try_from(attempts).unwrap_or(u32::MAX));
        }
        for (key, value) in texts(&given["metadata"]) {
            builder = match bytes(&value) {
                Ok(packed) if key.ends_with("-bin") => builder.metadata_bin(key, packed),
                _ => builder.metadata(key, value),
            };
        }
        encrypted(builder, &given["tls"]).build()
    }
}

impl Act {
    /// The signal that cancels the call, and the sender that gives it after so many messages.
    pub(crate) fn cancellation(&self) -> (impl Future<Output = ()> + Send + 'static, Option<oneshot::Sender<()>>) {
        let (sender, receiver) = oneshot::channel();
        let (is_before, after) = (self.cancel_before, self.cancel_after);
        let signal = async move {
            match (is_before, after) {
                (true, _) => ready(()).await,
                (false, Some(wait)) => sleep(wait).await,
                (false, None) => {
                    if receiver.await.is_err() {
                        std::future::pending().await
                    }
                }
            }
        };
        (signal, Some(sender))
    }
}

fn encrypted(builder: Builder, tls: &Value) -> Builder {
    match tls {
        Value::Bool(is_on) => builder.tls(*is_on),
        Value::Object(_) => {
            let mut certificates = Tls::new();
            if let Some(roots) = tls["root_certificates"].as_str() {
                certificates = certificates.root_certificates(roots);
            }
            if let (Some(certificate), Some(key)) = (tls["certificate"].as_str(), tls["private_key"].as_str()) {
                certificates = certificates.identity(certificate, key);
            }
            if let Some(name) = tls["server_name"].as_str() {
                certificates = certificates.server_name(name);
            }
            builder.tls(certificates)
        }
        _ => builder,
    }
}

fn seconds(value: &Value) -> Option<Duration> {
    value.as_f64().map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

fn texts(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_object().into_iter().flatten();
    pairs.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

pub(crate) fn bytes(text: &str) -> Result<Bytes, String> {
    STANDARD.decode(text).map(Bytes::from).map_err(|error| format!("{text:?} is no base64: {error}"))
}
