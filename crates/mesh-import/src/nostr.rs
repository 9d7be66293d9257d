//! Nostr events, one JSON object a line (NIP-01). What is not signed by its author stays behind, and is told.

use crate::{Export, Found, ImportError, LeftOut, Network, Why, clean, limits};
use bech32::{Bech32, Hrp};
use data_encoding::HEXLOWER_PERMISSIVE;
use k256::schnorr::{Signature, VerifyingKey};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// The kind of a short text note.
const NOTE: u64 = 1;

#[derive(Debug, Deserialize)]
struct Event {
    id: String,
    pubkey: String,
    created_at: u64,
    kind: u64,
    tags: Vec<Vec<String>>,
    content: String,
    sig: String,
}

impl Event {
    /// The values of the tags of this name.
    fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a String> {
        self.tags.iter().filter(move |tag| tag.first().is_some_and(|own| own == name)).filter_map(|tag| tag.get(1))
    }
}

pub(crate) fn read(bytes: &[u8]) -> Result<Export, ImportError> {
    let broken = |line: usize, what: String| ImportError::Broken { network: Network::Nostr, place: format!("line {line}"), what };
    let mut events = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if events.len() >= limits::RECORDS_MAX {
            return Err(ImportError::TooMany(Network::Nostr));
        }
        let event: Event =
            serde_json::from_slice(line).map_err(|error| broken(index + 1, format!("column {}: {error}", error.column())))?;
        events.push((index + 1, event));
    }
    let authors: BTreeSet<&str> = events.iter().map(|(_, event)| event.pubkey.as_str()).collect();
    if authors.len() > 1 {
        return Err(ImportError::SeveralAuthors(authors.len()));
    }
    let author = authors.first().and_then(|key| encoded("npub", key)).unwrap_or_default();
    let mut export = Export { author, posts: Vec::new(), left_out: Vec::new() };
    for (line, event) in events {
        match post(event, &|| format!("line {line}")) {
            Ok(found) => export.posts.push(found),
            Err(left_out) => export.left_out.push(left_out),
        }
    }
    Ok(export)
}

fn post(event: Event, place: &impl Fn() -> String) -> Result<Found, LeftOut> {
    let left_out = |why| LeftOut { place: place(), why };
    if !is_signed(&event) {
        return Err(left_out(Why::Forged));
    }
    if event.kind != NOTE {
        return Err(left_out(Why::NotAPost));
    }
    // An `e` tag names the event that is answered, unless it only mentions one (NIP-10).
    let answers = |tag: &Vec<String>| tag.first().is_some_and(|name| name == "e") && tag.get(3).is_none_or(|marker| marker != "mention");
    if event.tags.iter().any(answers) {
        return Err(left_out(Why::Answer));
    }
    let found = Found {
        title: event.of("subject").next().or_else(|| event.of("content-warning").next()).cloned(),
        tags: event.of("t").cloned().collect(),
        lang: None,
        url: encoded("note", &event.id).map(|note| format!("nostr:{note}")).unwrap_or_default(),
        at_ms: event.created_at.checked_mul(1000).ok_or_else(|| left_out(Why::Time))?,
        attachments: 0,
        text: event.content.clone(),
    };
    clean::post(place, found)
}

/// Whether the id is the hash of the event, and the signature (BIP 340) is by its author.
fn is_signed(event: &Event) -> bool {
    let Event { id, pubkey, created_at, kind, tags, content, sig } = event;
    let Ok(serialised) = serde_json::to_vec(&(0, pubkey, created_at, kind, tags, content)) else { return false };
    let hash = Sha256::digest(&serialised);
    let bytes = |hex: &str| HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok();
    let (Some(id), Some(key), Some(sig)) = (bytes(id), bytes(pubkey), bytes(sig)) else { return false };
    if id != hash.as_slice() || key.len() != 32 {
        return false;
    }
    let (Ok(key), Ok(sig)) = (VerifyingKey::from_bytes(&key), Signature::try_from(sig.as_slice())) else { return false };
    key.verify_raw(&hash, &sig).is_ok()
}

/// A key or an id as people are shown it (NIP-19).
fn encoded(kind: &str, hex: &str) -> Option<String> {
    let bytes = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?;
    bech32::encode::<Bech32>(Hrp::parse(kind).ok()?, &bytes).ok()
}
