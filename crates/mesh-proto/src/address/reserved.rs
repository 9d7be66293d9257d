//! User names that nobody may register.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::lookalike;

/// RFC 2142, then names that speak for the domain or for a machine. Published in `spec/address.md`.
const RESERVED: &[&str] = &[
    // RFC 2142 §3-5.
    "abuse",
    "ftp",
    "hostmaster",
    "info",
    "marketing",
    "news",
    "noc",
    "postmaster",
    "sales",
    "security",
    "support",
    "usenet",
    "uucp",
    "webmaster",
    "www",
    // Names of authority: a reader would take their words for the operator's.
    "admin",
    "administrator",
    "billing",
    "contact",
    "copyright",
    "dmca",
    "dpo",
    "help",
    "helpdesk",
    "legal",
    "mesh",
    "moderation",
    "moderator",
    "mod",
    "official",
    "operator",
    "owner",
    "privacy",
    "root",
    "safety",
    "server",
    "staff",
    "sysadmin",
    "sysop",
    "system",
    "team",
    "trust",
    "verify",
    "verified",
    // Names that protocols and programs give a meaning.
    "acme",
    "anonymous",
    "api",
    "autoconfig",
    "autodiscover",
    "daemon",
    "domain",
    "everyone",
    "here",
    "localhost",
    "mail",
    "mailer-daemon",
    "no-reply",
    "nobody",
    "noreply",
    "null",
    "ssladmin",
    "ssladministrator",
    "sslwebmaster",
    "undefined",
    "well-known",
];

/// Characters of an account id: base32 of 33 bytes.
const ID_CHARS: usize = 53;

static SKELETONS: LazyLock<BTreeSet<String>> = LazyLock::new(|| RESERVED.iter().map(|name| lookalike(name)).collect());

pub(super) fn is_reserved(name: &str) -> bool {
    is_id_shaped(name) || SKELETONS.contains(&lookalike(name))
}

/// Base32 text that starts with the version byte 0x01: a person so named would pass for another account's id.
fn is_id_shaped(name: &str) -> bool {
    let mut bytes = name.bytes();
    let version = bytes.next() == Some(b'a') && bytes.next().is_some_and(|b| matches!(b, b'e'..=b'h'));
    version && name.len() == ID_CHARS && bytes.all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'))
}
