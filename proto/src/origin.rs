//! Where a hoster is dialled: `HOST:PORT`.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The most bytes of an origin: a DNS name of 253, a colon, five digits.
pub const MAX_ORIGIN_BYTES: usize = 259;

/// `HOST:PORT` in one spelling: a DNS name in lower case, an IPv4 address, or an
/// IPv6 address in brackets as RFC 5952 writes it; then a port from 1 to 65535
/// without leading zeros.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    text: String,
    port: u16,
}

/// Text that is no origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// No colon before a port.
    #[error("an address is HOST:PORT, and the port is missing")]
    NoPort,
    /// Not a number from 1 to 65535, or one with leading zeros or a sign.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// Neither a DNS name nor an address.
    #[error("the host is neither a DNS name nor an IP address")]
    Host,
    /// Right, but not in the one spelling that signed entries use.
    #[error("the address is not in its one spelling")]
    Spelling,
}

impl Origin {
    /// Reads `HOST:PORT`, upper case and any spelling of an IPv6 address allowed.
    ///
    /// # Errors
    /// See [`OriginError`].
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        if text.len() > 2 * MAX_ORIGIN_BYTES {
            return Err(OriginError::Host);
        }
        let (host, port) = text.rsplit_once(':').ok_or(OriginError::NoPort)?;
        if host.ends_with(':') || (host.contains(':') && !host.ends_with(']')) {
            return Err(OriginError::NoPort);
        }
        let port = parse_port(port).ok_or(OriginError::Port)?;
        let host = normalize_host(host).ok_or(OriginError::Host)?;
        Ok(Self {
            text: format!("{host}:{port}"),
            port,
        })
    }

    /// Reads `HOST:PORT` in its one spelling.
    ///
    /// # Errors
    /// See [`OriginError`].
    pub fn parse_exact(text: &str) -> Result<Self, OriginError> {
        let origin = Self::parse(text)?;
        if origin.text == text {
            Ok(origin)
        } else {
            Err(OriginError::Spelling)
        }
    }

    /// `HOST:PORT`, at most [`MAX_ORIGIN_BYTES`] long.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host alone, an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.text.rsplit_once(':').map_or("", |(host, _)| host);
        host.strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host)
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        Self::parse(text)
    }
}

fn parse_port(text: &str) -> Option<u16> {
    if text.starts_with('0') || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn normalize_host(host: &str) -> Option<String> {
    if let Some(inner) = host.strip_prefix('[') {
        let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(format!("[{address}]"));
    }
    let host = host.to_ascii_lowercase();
    let last = host.rsplit('.').next()?;
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        // A name that ends in a number is an address or nothing (WHATWG URL).
        return host.parse::<Ipv4Addr>().ok().map(|ip| ip.to_string());
    }
    (host.len() <= 253 && host.split('.').all(is_dns_label)).then_some(host)
}

fn is_dns_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte))
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_one_spelling() {
        for (text, spelled, host, port) in [
            (
                "Coffre.Example.ORG:443",
                "coffre.example.org:443",
                "coffre.example.org",
                443,
            ),
            ("127.0.0.1:8443", "127.0.0.1:8443", "127.0.0.1", 8443),
            ("[0:0:0:0:0:0:0:1]:1", "[::1]:1", "::1", 1),
            ("a_b-c:65535", "a_b-c:65535", "a_b-c", 65535),
        ] {
            let origin = Origin::parse(text).unwrap();
            assert_eq!(origin.as_str(), spelled);
            assert_eq!((origin.host(), origin.port()), (host, port));
            assert_eq!(Origin::parse_exact(spelled), Ok(origin));
            if text != spelled {
                assert_eq!(Origin::parse_exact(text), Err(OriginError::Spelling));
            }
        }
    }

    #[test]
    fn refuses_what_is_none() {
        for (text, error) in [
            ("example.org", OriginError::NoPort),
            ("::1:80", OriginError::NoPort),
            ("::1", OriginError::NoPort),
            ("example.org:", OriginError::Port),
            ("example.org:0", OriginError::Port),
            ("example.org:080", OriginError::Port),
            ("example.org:+80", OriginError::Port),
            ("example.org:65536", OriginError::Port),
            (":80", OriginError::Host),
            ("exa mple.org:80", OriginError::Host),
            ("example..org:80", OriginError::Host),
            ("-a.org:80", OriginError::Host),
            ("a-.org:80", OriginError::Host),
            ("user@example.org:80", OriginError::Host),
            ("example.org/x:80", OriginError::Host),
            ("[::1%eth0]:80", OriginError::Host),
            ("[example.org]:80", OriginError::Host),
            ("1.2.3:80", OriginError::Host),
            ("1.2.3.256:80", OriginError::Host),
            ("é.fr:80", OriginError::Host),
        ] {
            assert_eq!(Origin::parse(text), Err(error), "{text}");
        }
        let long = format!("{}.org:80", "a".repeat(64));
        assert_eq!(Origin::parse(&long), Err(OriginError::Host));
        let longest = format!("{0}.{0}.{0}.{1}:65535", "a".repeat(63), "b".repeat(61));
        assert_eq!(longest.len(), MAX_ORIGIN_BYTES);
        assert!(Origin::parse(&longest).is_ok());
        let longer = format!("{0}.{0}.{0}.{1}:65535", "a".repeat(63), "b".repeat(62));
        assert_eq!(Origin::parse(&longer), Err(OriginError::Host));
        assert_eq!(Origin::parse(&"a".repeat(4000)), Err(OriginError::Host));
    }
}
