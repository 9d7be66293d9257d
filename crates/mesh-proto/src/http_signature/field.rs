//! The structured fields (RFC 9651) of the profile, read and written.
//!
//! Only the canonical serialisation is accepted: a value is parsed, written again, and compared. That refuses repeated members and
//! parameters (which RFC 9651 silently lets the last one win), unused bits in base64 and spare white space, all in one rule, and makes
//! the `@signature-params` line equal to what was received.

use sfv::{BareItem, DictSerializer, Dictionary, InnerList, Item, KeyRef, ListEntry, Parser, StringRef, key_ref, string_ref};

use super::{CONTENT_DIGEST, ContentDigest, SIGNATURE, SIGNATURE_INPUT, SignatureError, SignatureInput, TAG};
use crate::bytes::Signature;

/// The one label of the one signature.
pub(super) const LABEL: &str = "mesh";
/// Times end where the integers of RFC 9651 do, with room for `expires`.
pub(super) const TIME_S_END: u64 = 999_999_999_000;

const COMPONENTS: [&str; 3] = ["@method", "@target-uri", "content-digest"];
/// Longest header value that is parsed, bytes: the longest valid one and more.
const VALUE_BYTES_MAX: usize = 1024;

/// The signature base (RFC 9421 §2.5): one line for each component, then the parameters.
pub(super) fn base(lines: &[(&str, &str)], params: &str) -> String {
    let mut base = String::with_capacity(256);
    for (name, value) in lines {
        base.extend(["\"", name, "\": ", value, "\n"]);
    }
    base.extend(["\"@signature-params\": ", params]);
    base
}

/// The value of `@signature-params`. The order of the parameters is that of [`SignatureInput`], then the tag.
pub(super) fn params(input: &SignatureInput) -> String {
    let text = |text| StringRef::from_str(text).unwrap_or(string_ref(""));
    let integer = |time_s: u64| sfv::Integer::try_from(time_s).unwrap_or_default();
    let mut value = String::with_capacity(256);
    let mut dictionary = DictSerializer::with_buffer(&mut value);
    let mut list = dictionary.inner_list(key_ref(LABEL));
    for component in COMPONENTS {
        let _ = list.bare_item(string_ref(component));
    }
    let _ = list
        .finish()
        .parameter(key_ref("created"), integer(input.created_s))
        .parameter(key_ref("expires"), integer(input.expires_s))
        .parameter(key_ref("nonce"), text(&input.nonce))
        .parameter(key_ref("keyid"), text(&input.keyid))
        .parameter(key_ref("tag"), string_ref(TAG));
    value.split_off(LABEL.len() + 1)
}

/// Reads `Content-Digest`: `sha-256` and nothing else.
pub(super) fn digest(value: &[u8]) -> Result<ContentDigest, SignatureError> {
    let malformed = SignatureError::Malformed { header: CONTENT_DIGEST, expected: "sha-256=:…: with 32 bytes, alone" };
    let (dictionary, _) = dictionary(value).ok_or(malformed.clone())?;
    let bytes = only_bytes(&dictionary, key_ref("sha-256")).ok_or(malformed.clone())?;
    bytes.try_into().map(ContentDigest::from_sha256).map_err(|_| malformed)
}

/// Reads `Signature`.
pub(super) fn signature(value: &[u8]) -> Result<Signature, SignatureError> {
    let malformed = SignatureError::Malformed { header: SIGNATURE, expected: "mesh=:…: with 64 bytes" };
    let (dictionary, _) = dictionary(value).ok_or(malformed.clone())?;
    if dictionary.len() != 1 || !dictionary.contains_key(key_ref(LABEL)) {
        return Err(SignatureError::Label(SIGNATURE));
    }
    let bytes = only_bytes(&dictionary, key_ref(LABEL)).ok_or(malformed.clone())?;
    bytes.try_into().map(Signature).map_err(|_| malformed)
}

/// Reads `Signature-Input`. Returns the parameters and the value of `@signature-params`.
pub(super) fn input(value: &[u8]) -> Result<(SignatureInput, String), SignatureError> {
    let malformed = SignatureError::Malformed { header: SIGNATURE_INPUT, expected: "mesh=(…);…" };
    let (dictionary, text) = dictionary(value).ok_or(malformed.clone())?;
    if dictionary.len() != 1 {
        return Err(SignatureError::Label(SIGNATURE_INPUT));
    }
    let list = match dictionary.get(key_ref(LABEL)) {
        Some(ListEntry::InnerList(list)) => list,
        Some(ListEntry::Item(_)) => return Err(malformed),
        None => return Err(SignatureError::Label(SIGNATURE_INPUT)),
    };
    let same = |(item, name): (&Item, &str)| item.params.is_empty() && item.bare_item.as_string().is_some_and(|s| s.as_str() == name);
    if list.items.len() != COMPONENTS.len() || !list.items.iter().zip(COMPONENTS).all(same) {
        return Err(SignatureError::Components);
    }
    let params = text.get(LABEL.len() + 1..).ok_or(malformed)?;
    Ok((parameters(list)?, params.to_owned()))
}

fn parameters(list: &InnerList) -> Result<SignatureInput, SignatureError> {
    let known = ["created", "expires", "nonce", "keyid", "tag"];
    if let Some(other) = list.params.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(SignatureError::ParameterUnknown(other.as_str().to_owned()));
    }
    if text(list, "tag")? != TAG {
        return Err(SignatureError::Parameter { name: "tag", expected: "\"mesh\"" });
    }
    SignatureInput::new(time(list, "created")?, time(list, "expires")?, text(list, "nonce")?, text(list, "keyid")?)
}

fn parameter<'a>(list: &'a InnerList, name: &'static str) -> Result<&'a BareItem, SignatureError> {
    let key = KeyRef::from_str(name).map_err(|_| SignatureError::ParameterMissing(name))?;
    list.params.get(key).ok_or(SignatureError::ParameterMissing(name))
}

fn text<'a>(list: &'a InnerList, name: &'static str) -> Result<&'a str, SignatureError> {
    let value = parameter(list, name)?.as_string();
    value.map(StringRef::as_str).ok_or(SignatureError::Parameter { name, expected: "a string" })
}

fn time(list: &InnerList, name: &'static str) -> Result<u64, SignatureError> {
    let value = parameter(list, name)?.as_integer().and_then(|value| u64::try_from(i64::from(value)).ok());
    value.ok_or(SignatureError::Parameter { name, expected: "seconds since 1970, an integer" })
}

/// Parses a dictionary, if it is in canonical form and not longer than anything valid.
fn dictionary(value: &[u8]) -> Option<(Dictionary, &str)> {
    if value.len() > VALUE_BYTES_MAX {
        return None;
    }
    let text = std::str::from_utf8(value).ok()?;
    let dictionary: Dictionary = Parser::new(text).parse().ok()?;
    let mut again = DictSerializer::new();
    again.members(&dictionary);
    (again.finish().as_deref() == Some(text)).then_some((dictionary, text))
}

/// The bytes of the only member of a dictionary, if it has this name and no parameters.
fn only_bytes<'a>(dictionary: &'a Dictionary, name: &KeyRef) -> Option<&'a [u8]> {
    match dictionary.get(name) {
        Some(ListEntry::Item(item)) if dictionary.len() == 1 && item.params.is_empty() => item.bare_item.as_byte_sequence(),
        _ => None,
    }
}
