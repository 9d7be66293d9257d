//! Names of accounts and domains: `neo@mesh.org`, `neo@one.localhost:8001`.
//!
//! Owns the grammar of [`User`], [`Domain`] and [`Address`] and the comparison of names that look alike. All three are kept in
//! their one canonical spelling, so that equal text is equal meaning; what a person types goes through `from_human` first. Does
//! not decide who holds a name: the key log and the name leaf do (`spec/address.md`).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::bytes::text_form;
use crate::limits::{DOMAIN_BYTES_MAX, USER_BYTES_MAX};
use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

pub mod guard;
mod lookalike;
mod reserved;
#[cfg(test)]
mod tests;

pub use lookalike::lookalike;

/// Longest label of a domain name, bytes (RFC 1035 §2.3.4).
const LABEL_BYTES_MAX: usize = 63;
/// The name under which servers on this machine live (RFC 6761 §6.3).
const LOCALHOST: &str = "localhost";
/// The port that plain HTTP URLs leave out, and that an address therefore must leave out too.
const HTTP_PORT: u16 = 80;

/// Why text is not a name of the kind asked for, in words that a person who typed it can act on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// No `@`, or more than one.
    #[error("an address is written user@domain, with one @")]
    Shape,
    /// The user part is empty or too long.
    #[error("a user name has 1 to {USER_BYTES_MAX} characters")]
    UserLength,
    /// The user part holds a character outside `a-z 0-9 . _ -`.
    #[error("a user name holds only a-z, 0-9, '.', '_' and '-': remove {0:?}")]
    UserCharacter(char),
    /// The user part starts or ends with punctuation, or holds two dots in a row.
    #[error("a user name starts and ends with a letter or digit and holds no two dots in a row")]
    UserPunctuation,
    /// The domain is empty, longer than 253 bytes, or one of its labels is empty or longer than 63 bytes.
    #[error("a domain has 1 to {DOMAIN_BYTES_MAX} characters, and 1 to {LABEL_BYTES_MAX} between its dots, without a dot at its end")]
    DomainLength,
    /// The domain holds a character outside `a-z 0-9 - .`, or a hyphen where none may be.
    #[error("{0:?} is not a part of a domain name in lower-case ASCII (international names are written xn--…)")]
    DomainLabel(String),
    /// The domain is an IP address, or its last label does not start with a letter.
    #[error("a domain is a name, not an IP address: its last part starts with a letter")]
    DomainIsAddress,
    /// The domain has no dot and is not `localhost`.
    #[error("a domain needs a dot, such as mesh.org, or to end in localhost")]
    DomainBare,
    /// A port where none may be, or one that is not 1–65535 in canonical decimal, or the default 80.
    #[error("a port stands only after a name under localhost, as 1 to 65535 without leading zeros, and 80 is left out")]
    Port,
    /// UTS #46 finds no valid A-label form.
    #[error("this is not a valid international domain name")]
    International,
}

/// The part before the `@`: 1–64 bytes of `a-z 0-9 . _ -`, first and last a letter or digit, no `..`. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct User(Arc<str>);

/// A domain: lower-case A-labels (LDH, ≤ 253 bytes, no trailing dot), with `:port` only under `localhost`. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Arc<str>);

/// An account's present name, `user@domain`. Ordered by user, then domain. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    user: User,
    domain: Domain,
}

impl User {
    /// The name as text, without `@`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name is kept for the operator: it is, or looks like ([`lookalike`]), a mailbox name of RFC 2142 or a name of
    /// authority such as `admin`, or it has the form of an account id. Enforced at sign-up by the home, not by verifiers.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        reserved::is_reserved(&self.0)
    }
}

impl FromStr for User {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > USER_BYTES_MAX {
            return Err(AddressError::UserLength);
        }
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
        if let Some(c) = text.chars().find(|c| !allowed(*c)) {
            return Err(AddressError::UserCharacter(c));
        }
        let edge = |c: &char| matches!(c, '.' | '_' | '-');
        if text.starts_with(|c| edge(&c)) || text.ends_with(|c| edge(&c)) || text.contains("..") {
            return Err(AddressError::UserPunctuation);
        }
        Ok(Self(text.into()))
    }
}

impl Domain {
    /// The domain as text, with its port if it has one.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without the port: `one.localhost`.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.split_once(':').map_or(&*self.0, |(host, _)| host)
    }

    /// The port, if the domain names one. Only local domains do.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.0.split_once(':').and_then(|(_, port)| port.parse().ok())
    }

    /// Whether the domain is `localhost` or under it, and so means loopback and plain HTTP (RFC 6761 §6.3).
    #[must_use]
    pub fn is_local(&self) -> bool {
        is_local(self.host())
    }

    /// Where the domain's HTTP interface is, without a slash at the end: `https://mesh.org`, `http://one.localhost:8001`.
    #[must_use]
    pub fn base_url(&self) -> String {
        let scheme = if self.is_local() { "http" } else { "https" };
        format!("{scheme}://{self}")
    }

    /// Reads a domain as people write it: white space around it, upper case, U-labels (`bücher.example`).
    ///
    /// # Errors
    /// [`AddressError::International`] if UTS #46 (non-transitional, with STD3, hyphen, bidi, joiner and length checks) refuses
    /// the name, else what [`Domain::from_str`] says of its result.
    pub fn from_human(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
        if name.len() > DOMAIN_BYTES_MAX * 4 {
            return Err(AddressError::DomainLength);
        }
        let ascii = to_ascii(name)?;
        match port {
            Some(port) => format!("{ascii}:{port}").parse(),
            None => ascii.parse(),
        }
    }

    /// The domain with its A-labels as Unicode, for display beside the A-label form and for [`lookalike`].
    #[must_use]
    pub fn to_human(&self) -> String {
        let (name, _) = Uts46::new().to_unicode(self.host().as_bytes(), AsciiDenyList::STD3, Hyphens::Check);
        match self.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.into_owned(),
        }
    }
}

impl FromStr for Domain {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
        check_host(host)?;
        if let Some(port) = port
            && !(is_local(host) && is_port(port))
        {
            return Err(AddressError::Port);
        }
        Ok(Self(text.into()))
    }
}

impl Address {
    /// Puts a name together from its parts.
    #[must_use]
    pub fn new(user: User, domain: Domain) -> Self {
        Self { user, domain }
    }

    /// The part before the `@`.
    #[must_use]
    pub fn user(&self) -> &User {
        &self.user
    }

    /// The part after the `@`.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Reads an address as people write it: `@` in front, upper case, white space around it, U-labels.
    ///
    /// # Errors
    /// What is wrong with the user or the domain, see [`AddressError`].
    pub fn from_human(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        let text = text.strip_prefix('@').unwrap_or(text);
        let (user, domain) = text.split_once('@').ok_or(AddressError::Shape)?;
        Ok(Self { user: user.to_ascii_lowercase().parse()?, domain: Domain::from_human(domain)? })
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (user, domain) = text.split_once('@').ok_or(AddressError::Shape)?;
        if domain.contains('@') {
            return Err(AddressError::Shape);
        }
        Ok(Self { user: user.parse()?, domain: domain.parse()? })
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.domain)
    }
}

text_form!(User);
text_form!(Domain);
text_form!(Address);

fn is_local(host: &str) -> bool {
    host.strip_suffix(LOCALHOST).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Canonical decimal, 1–65535, and not the one that URLs leave out: one server, one name.
fn is_port(text: &str) -> bool {
    let canonical = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    canonical && text.parse::<u16>().is_ok_and(|port| port != HTTP_PORT)
}

fn check_host(host: &str) -> Result<(), AddressError> {
    if host.is_empty() || host.len() > DOMAIN_BYTES_MAX {
        return Err(AddressError::DomainLength);
    }
    let mut labels = 0;
    let mut last = "";
    let mut has_a_label = false;
    for label in host.split('.') {
        check_label(label)?;
        has_a_label |= label.starts_with("xn--");
        last = label;
        labels += 1;
    }
    if !last.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err(AddressError::DomainIsAddress);
    }
    if labels < 2 && host != LOCALHOST {
        return Err(AddressError::DomainBare);
    }
    if has_a_label && to_ascii(host)? != host {
        return Err(AddressError::International);
    }
    Ok(())
}

/// Letters, digits, inner hyphens (RFC 952, 1123); `--` in the third and fourth place only in A-labels (RFC 5890 §2.3.1).
fn check_label(label: &str) -> Result<(), AddressError> {
    if label.is_empty() || label.len() > LABEL_BYTES_MAX {
        return Err(AddressError::DomainLength);
    }
    let ldh = label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let reserved = label.as_bytes().get(2..4) == Some(b"--") && !label.starts_with("xn--");
    if !ldh || reserved || label.starts_with('-') || label.ends_with('-') {
        return Err(AddressError::DomainLabel(label.to_owned()));
    }
    Ok(())
}

fn to_ascii(name: &str) -> Result<String, AddressError> {
    Uts46::new()
        .to_ascii(name.as_bytes(), AsciiDenyList::STD3, Hyphens::Check, DnsLength::Verify)
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| AddressError::International)
}
