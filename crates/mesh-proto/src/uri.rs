//! Links to people and records: `mesh://neo@mesh.org/<record id>` and the HTTPS permalinks that stand for them on the web.
//!
//! Owns the grammar of links and what they point at. Every target has one `mesh://` spelling; nothing in it is ever percent-encoded.
//! Does not resolve anything. See `spec/uri.md`.

use std::fmt;
use std::str::FromStr;

use crate::address::{Address, AddressError, Domain};
use crate::bytes::{TextError, text_form};
use crate::envelope::RecordId;
use crate::key::AccountId;
use crate::limits::LINK_BYTES_MAX;

#[cfg(test)]
mod tests;

const SCHEME: &str = "mesh://";

/// Why text is not a link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// Longer than any link.
    #[error("a link has at most {LINK_BYTES_MAX} characters")]
    Length,
    /// Neither `mesh://…`, nor a permalink, nor an address.
    #[error("a link starts with mesh://, or is an address such as @neo@mesh.org, or a page such as https://mesh.org/@neo")]
    Scheme,
    /// `http` for a domain that is not local, or `https` for one that is.
    #[error("a permalink starts with https://, and with http:// only under localhost")]
    WebScheme,
    /// The user or the domain is not one.
    #[error("the address in the link is wrong")]
    Address(#[from] AddressError),
    /// The part before the first `/` is not an account id.
    #[error("the account id in the link is wrong")]
    Account(#[source] TextError),
    /// The part after it is not a record id.
    #[error("the record id in the link is wrong")]
    Record(#[source] TextError),
    /// The part after the second `@` is not a version's record id.
    #[error("the version in the link is wrong")]
    Version(#[source] TextError),
    /// A query that is not `home=<domain>`, or one where the address says the home already.
    #[error("a link has no query but ?home=<domain>, and that only after an account id")]
    Query,
}

/// Whom a link names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Person {
    /// An account for ever, with the domain where its key log was last seen, if the link says so.
    Account {
        /// The account.
        id: AccountId,
        /// Where to ask first; a hint, not a claim.
        home: Option<Domain>,
    },
    /// Whoever holds this name when the link is followed.
    Address(Address),
}

/// What a link points at. `Display` gives the `mesh://` form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A person.
    Person(Person),
    /// A record of a person.
    Record {
        /// Its actor.
        person: Person,
        /// The id of its first version.
        record: RecordId,
        /// The version meant, if not the current one.
        version: Option<RecordId>,
    },
}

impl Target {
    /// Reads a `mesh://` link, a permalink, or a bare address with or without `@` in front.
    ///
    /// # Errors
    /// Which part is wrong, see [`LinkError`].
    pub fn parse(text: &str) -> Result<Self, LinkError> {
        if text.len() > LINK_BYTES_MAX {
            return Err(LinkError::Length);
        }
        if let Some(rest) = text.strip_prefix(SCHEME) {
            return parse_mesh(rest);
        }
        if let Some(rest) = text.strip_prefix("https://") {
            return parse_permalink(rest, WebScheme::Https);
        }
        if let Some(rest) = text.strip_prefix("http://") {
            return parse_permalink(rest, WebScheme::Http);
        }
        let address = text.strip_prefix('@').unwrap_or(text);
        if !address.contains('@') || address.contains('/') {
            return Err(LinkError::Scheme);
        }
        Ok(Self::Person(Person::Address(address.parse()?)))
    }

    /// The person pointed at, or the actor of the record.
    #[must_use]
    pub fn person(&self) -> &Person {
        match self {
            Self::Person(person) | Self::Record { person, .. } => person,
        }
    }

    /// The page for everyone: `https://mesh.org/@neo/<record id>`. None if the person is named by account id: a page needs a name.
    #[must_use]
    pub fn permalink(&self) -> Option<String> {
        let Person::Address(address) = self.person() else { return None };
        Some(format!("{}/@{}{}", address.domain().base_url(), address.user(), self.path()))
    }

    /// `/<record id>@<version id>`, as far as the target has them.
    fn path(&self) -> String {
        match self {
            Self::Person(_) => String::new(),
            Self::Record { record, version: None, .. } => format!("/{record}"),
            Self::Record { record, version: Some(version), .. } => format!("/{record}@{version}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.person() {
            Person::Address(address) => write!(f, "{SCHEME}{address}{}", self.path()),
            Person::Account { id, home: None } => write!(f, "{SCHEME}{id}{}", self.path()),
            Person::Account { id, home: Some(home) } => write!(f, "{SCHEME}{id}{}?home={home}", self.path()),
        }
    }
}

impl FromStr for Target {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

text_form!(Target);

#[derive(Clone, Copy, PartialEq, Eq)]
enum WebScheme {
    Http,
    Https,
}

fn parse_mesh(rest: &str) -> Result<Target, LinkError> {
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let (authority, path) = split_path(rest);
    let person = match (authority.contains('@'), query) {
        (true, None) => Person::Address(authority.parse()?),
        (true, Some(_)) => return Err(LinkError::Query),
        (false, query) => {
            let home = query.map(|query| query.strip_prefix("home=").ok_or(LinkError::Query)).transpose()?;
            Person::Account { id: authority.parse().map_err(LinkError::Account)?, home: home.map(str::parse).transpose()? }
        }
    };
    with_path(person, path)
}

fn parse_permalink(rest: &str, scheme: WebScheme) -> Result<Target, LinkError> {
    let (domain, path) = rest.split_once("/@").ok_or(LinkError::Scheme)?;
    let domain: Domain = domain.parse()?;
    if domain.is_local() != (scheme == WebScheme::Http) {
        return Err(LinkError::WebScheme);
    }
    let (user, path) = split_path(path);
    with_path(Person::Address(Address::new(user.parse()?, domain)), path)
}

fn split_path(rest: &str) -> (&str, Option<&str>) {
    rest.split_once('/').map_or((rest, None), |(before, path)| (before, Some(path)))
}

fn with_path(person: Person, path: Option<&str>) -> Result<Target, LinkError> {
    let Some(path) = path else { return Ok(Target::Person(person)) };
    let (record, version) = path.split_once('@').map_or((path, None), |(record, version)| (record, Some(version)));
    let record = record.parse().map_err(LinkError::Record)?;
    let version = version.map(|version| version.parse().map_err(LinkError::Version)).transpose()?;
    Ok(Target::Record { person, record, version })
}
