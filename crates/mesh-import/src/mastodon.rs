//! `outbox.json` of a Mastodon archive: an ActivityStreams collection of everything that an account did.
//!
//! Only what was said to everybody comes along: a post for followers or for named people stays behind, whatever else it is.

use crate::{Export, Found, ImportError, LeftOut, Network, Why, clean, html, limits};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The three spellings of "everybody".
const PUBLIC: [&str; 3] = ["https://www.w3.org/ns/activitystreams#Public", "as:Public", "Public"];

#[derive(Deserialize)]
struct Outbox {
    #[serde(rename = "orderedItems")]
    items: Vec<Value>,
}

#[derive(Deserialize)]
struct Activity {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    actor: Value,
    #[serde(default)]
    object: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Note {
    #[serde(rename = "type")]
    kind: String,
    id: String,
    #[serde(default)]
    url: Value,
    #[serde(default)]
    published: String,
    #[serde(default)]
    in_reply_to: Value,
    #[serde(default)]
    to: Value,
    #[serde(default)]
    cc: Value,
    #[serde(default)]
    summary: Option<String>,
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    content_map: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    tag: Value,
    #[serde(default)]
    attachment: Value,
}

pub(crate) fn read(bytes: &[u8]) -> Result<Export, ImportError> {
    let broken = |place, what| ImportError::Broken { network: Network::Mastodon, place, what };
    let outbox: Outbox = serde_json::from_slice(bytes)
        .map_err(|error| broken(format!("line {}, column {}", error.line(), error.column()), error.to_string()))?;
    if outbox.items.len() > limits::RECORDS_MAX {
        return Err(ImportError::TooMany(Network::Mastodon));
    }
    let mut export = Export { author: String::new(), posts: Vec::new(), left_out: Vec::new() };
    for (index, item) in outbox.items.into_iter().enumerate() {
        let place = || format!("item {}", index + 1);
        let activity: Activity = serde_json::from_value(item).map_err(|error| broken(place(), error.to_string()))?;
        if let (true, Some(actor)) = (export.author.is_empty(), one(&activity.actor)) {
            export.author = actor.to_owned();
        }
        match post(activity, &place) {
            Ok(found) => export.posts.push(found),
            Err(left_out) => export.left_out.push(left_out),
        }
    }
    Ok(export)
}

fn post(activity: Activity, place: &impl Fn() -> String) -> Result<Found, LeftOut> {
    let left_out = |why| LeftOut { place: place(), why };
    let actor = one(&activity.actor).unwrap_or_default().to_owned();
    match activity.kind.as_str() {
        "Create" => {}
        "Announce" => return Err(left_out(Why::Boost)),
        _ => return Err(left_out(Why::NotAPost)),
    }
    let note: Note = serde_json::from_value(activity.object).map_err(|_| left_out(Why::NotAPost))?;
    if note.kind != "Note" && note.kind != "Article" {
        return Err(left_out(Why::NotAPost));
    }
    let is_public = [&note.to, &note.cc].into_iter().flat_map(all).any(|who| PUBLIC.contains(&who));
    if !is_public {
        return Err(left_out(Why::NotPublic));
    }
    // Somebody's answers to themselves are how long posts are written there.
    let own = format!("{actor}/");
    if one(&note.in_reply_to).is_some_and(|answered| actor.is_empty() || !answered.starts_with(&own)) {
        return Err(left_out(Why::Answer));
    }
    let at_ms = clean::moment(&note.published).ok_or_else(|| left_out(Why::Time))?;
    let lang = note.content_map.as_ref().filter(|map| map.len() == 1).and_then(|map| map.keys().next().cloned());
    let content = note.content.or_else(|| note.content_map?.into_values().find_map(|value| value.as_str().map(str::to_owned)));
    let tags = note.tag.as_array().into_iter().flatten().filter(|tag| tag["type"] == "Hashtag");
    let found = Found {
        text: html::text(&content.unwrap_or_default()),
        title: note.summary,
        tags: tags.filter_map(|tag| tag["name"].as_str().map(str::to_owned)).collect(),
        lang,
        url: one(&note.url).map_or(note.id, str::to_owned),
        at_ms,
        attachments: note.attachment.as_array().map_or(0, Vec::len),
    };
    clean::post(place, found)
}

/// The texts of a property that is one or a list of them.
fn all(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(values) => values.iter().filter_map(one).collect(),
        other => one(other).into_iter().collect(),
    }
}

/// A property that is a text, or an object that is named by one.
fn one(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("id")?.as_str())
}
