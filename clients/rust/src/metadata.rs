//! The metadata that a caller adds to calls: what gRPC can carry, and what the client keeps for itself.

use bytes::Bytes;
use tonic::metadata::{AsciiMetadataKey, BinaryMetadataKey, BinaryMetadataValue, MetadataMap};

use crate::error::Error;

const OWN_KEYS: [(&str, &str); 6] = [
    ("authorization", "give token to the client instead"),
    ("x-request-id", "give request_id instead"),
    ("trivium-client", "it names the client itself"),
    ("user-agent", "it names the client itself"),
    ("content-type", "gRPC sets it"),
    ("te", "gRPC sets it"),
];

/// What was given, unchecked.
#[derive(Clone, Default)]
pub(crate) struct Given(Vec<(String, Value)>);

#[derive(Clone)]
enum Value {
    Text(String),
    Bytes(Bytes),
}

impl Given {
    pub(crate) fn add_text(&mut self, key: String, value: String) {
        self.0.push((key, Value::Text(value)));
    }

    pub(crate) fn add_bytes(&mut self, key: String, value: Bytes) {
        self.0.push((key, Value::Bytes(value)));
    }

    /// Puts everything into `into`, in place of what has the same key there.
    pub(crate) fn put_into(&self, into: &mut MetadataMap) -> Result<(), Error> {
        let mut names: Vec<String> = Vec::new();
        for (key, value) in &self.0 {
            let name = checked_key(key)?;
            if names.contains(&name) {
                return Err(Error::invalid(format!("metadata has {key:?} twice")));
            }
            match value {
                Value::Text(text) => put_text(into, key, &name, text)?,
                Value::Bytes(bytes) => put_bytes(into, key, &name, bytes)?,
            }
            names.push(name);
        }
        Ok(())
    }
}

fn checked_key(key: &str) -> Result<String, Error> {
    let name = key.to_ascii_lowercase();
    if let Some((_, advice)) = OWN_KEYS.iter().find(|(own, _)| *own == name) {
        return Err(Error::invalid(format!("metadata has {key:?}, which the client sets itself: {advice}")));
    }
    if name.starts_with("grpc-") {
        return Err(Error::invalid(format!("metadata has {key:?}; keys that begin with grpc- are gRPC's own")));
    }
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(is_allowed) {
        return Err(Error::invalid(format!(
            "metadata has {key:?}; a key is letters of ASCII, digits, '-', '_' and '.'"
        )));
    }
    Ok(name)
}

fn put_text(into: &mut MetadataMap, key: &str, name: &str, text: &str) -> Result<(), Error> {
    let is_printable = text.chars().all(|c| matches!(c, ' '..='~'));
    let parsed = AsciiMetadataKey::from_bytes(name.as_bytes()).ok();
    match (parsed, text.parse()) {
        (Some(name), Ok(value)) if is_printable => into.insert(name, value),
        (None, _) => {
            return Err(Error::invalid(format!("metadata has text under {key:?}; a key that ends in -bin has bytes")));
        }
        _ => {
            return Err(Error::invalid(format!(
                "the metadata value of {key:?} is not printable ASCII; bytes go under a key that ends in -bin"
            )));
        }
    };
    Ok(())
}

fn put_bytes(into: &mut MetadataMap, key: &str, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let name = BinaryMetadataKey::from_bytes(name.as_bytes())
        .map_err(|_| Error::invalid(format!("metadata has bytes under {key:?}; their key ends in -bin")))?;
    into.insert_bin(name, BinaryMetadataValue::from_bytes(bytes));
    Ok(())
}

/// Checks what a header could not carry. The error does not have the token in it.
pub(crate) fn checked_token(token: &str) -> Result<(), Error> {
    if !token.is_empty() && token.chars().all(|c| matches!(c, '!'..='~')) {
        return Ok(());
    }
    Err(Error::invalid("token is empty or has a character that is not printable ASCII, such as a line break"))
}

/// Checks the server's own rule: it would replace any other id by one that the caller does not know.
pub(crate) fn checked_request_id(id: &str) -> Result<(), Error> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._:/+=@-".contains(c);
    if (1..=128).contains(&id.len()) && id.chars().all(is_allowed) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "request_id is {id:?}; it must be 1 to 128 characters of A-Z, a-z, 0-9 and . _ : / + = @ -"
    )))
}

/// A random UUID of version 4.
pub(crate) fn new_request_id() -> String {
    let bits = fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(key: &str, value: Value) -> Result<MetadataMap, Error> {
        let mut map = MetadataMap::new();
        Given(vec![(key.to_owned(), value)]).put_into(&mut map).map(|()| map)
    }

    #[test]
    fn metadata_is_sent_as_given() {
        let map = checked("Team", Value::Text("search ~".to_owned())).unwrap();
        assert_eq!(map.get("team").unwrap(), "search ~");
        let map = checked("trace-bin", Value::Bytes(Bytes::from_static(&[0, 255]))).unwrap();
        assert_eq!(map.get_bin("trace-bin").unwrap().to_bytes().unwrap(), &[0, 255][..]);
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        for (key, value) in [
            ("Authorization", "x"),
            ("x-request-id", "x"),
            ("trivium-client", "x"),
            ("user-agent", "x"),
            ("content-type", "x"),
            ("te", "x"),
            ("grpc-timeout", "1S"),
            ("", "x"),
            ("a key", "x"),
            ("ключ", "x"),
            ("a-bin", "text under a binary key"),
            ("a", "line\nbreak"),
            ("a", "é"),
        ] {
            assert!(checked(key, Value::Text(value.to_owned())).is_err(), "{key}: {value}");
        }
        assert!(checked("a", Value::Bytes(Bytes::from_static(b"x"))).is_err());
    }

    #[test]
    fn request_ids_are_checked_and_made_by_the_servers_rule() {
        let long = "x".repeat(128);
        for id in ["a", "A.b_c:d/e+f=g@h-9", long.as_str(), &new_request_id()] {
            assert!(checked_request_id(id).is_ok(), "{id}");
        }
        for id in ["", "a b", "ü", &format!("{long}x")] {
            assert!(checked_request_id(id).is_err(), "{id}");
        }
        let id = new_request_id();
        assert_eq!((id.len(), &id[14..15]), (36, "4"));
        assert!("89ab".contains(&id[19..20]), "{id}");
        assert_ne!(id, new_request_id());
    }

    #[test]
    fn a_refused_token_is_not_shown() {
        for token in ["", "se cret", "se\ncret", "sécret"] {
            let message = checked_token(token).unwrap_err().to_string();
            assert!(!message.contains("cret"), "{message}");
        }
        assert!(checked_token("se-cret~!").is_ok());
    }
}
