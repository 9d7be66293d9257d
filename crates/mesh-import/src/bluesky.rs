//! A Bluesky repository: a CAR file with the tree of all records of an account, and in it the posts.
//!
//! Every block is checked against its hash, so that a damaged file shows. The signature of the commit is not: its key is in a directory of
//! another network, and whose posts these are is the importer's claim in any case.

mod car;
mod facets;

use crate::{Export, Found, ImportError, LeftOut, Network, Why, clean, limits};
use car::Blocks;
use ipld_core::cid::Cid;
use ipld_core::ipld::Ipld;
use serde::Deserialize;

pub(crate) use car::is_car;

/// The collection that holds posts.
const POSTS: &str = "app.bsky.feed.post/";

#[derive(Deserialize)]
struct Commit {
    did: String,
    data: Cid,
}

/// A node of the tree (Merkle search tree): keys are written as what they share with the one before, and the rest.
#[derive(Deserialize)]
struct Node {
    l: Option<Cid>,
    e: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    p: usize,
    k: Ipld,
    v: Cid,
    t: Option<Cid>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Post {
    #[serde(default)]
    text: String,
    created_at: String,
    #[serde(default)]
    langs: Vec<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    reply: Option<Reply>,
    #[serde(default)]
    facets: Vec<facets::Facet>,
    #[serde(default)]
    embed: Option<Ipld>,
}

#[derive(Deserialize)]
struct Reply {
    parent: Answered,
}

#[derive(Deserialize)]
struct Answered {
    uri: String,
}

fn broken(place: impl Into<String>, what: impl ToString) -> ImportError {
    ImportError::Broken { network: Network::Bluesky, place: place.into(), what: what.to_string() }
}

pub(crate) fn read(bytes: &[u8]) -> Result<Export, ImportError> {
    let blocks = Blocks::read(bytes)?;
    let commit: Commit = blocks.decode(&blocks.root, "the commit")?;
    let mut records = Vec::new();
    walk(&blocks, &commit.data, 0, &mut records)?;
    let mut export = Export { author: commit.did.clone(), posts: Vec::new(), left_out: Vec::new() };
    for (key, cid) in records {
        let Some(name) = key.strip_prefix(POSTS) else { continue };
        let place = || format!("record {key}");
        let post: Post = blocks.decode(&cid, &place())?;
        match found(post, &commit.did, name, &place) {
            Ok(found) => export.posts.push(found),
            Err(left_out) => export.left_out.push(left_out),
        }
    }
    Ok(export)
}

/// All keys of the tree with their records, in order.
fn walk(blocks: &Blocks<'_>, at: &Cid, depth: usize, records: &mut Vec<(String, Cid)>) -> Result<(), ImportError> {
    if depth > limits::TREE_DEPTH_MAX {
        return Err(broken(format!("tree node {at}"), "the tree is deeper than any honest one"));
    }
    let node: Node = blocks.decode(at, &format!("tree node {at}"))?;
    if let Some(left) = &node.l {
        walk(blocks, left, depth + 1, records)?;
    }
    let mut key: Vec<u8> = Vec::new();
    for entry in node.e {
        let Ipld::Bytes(rest) = entry.k else { return Err(broken(format!("tree node {at}"), "a key is not bytes")) };
        if entry.p > key.len() {
            return Err(broken(format!("tree node {at}"), "a key shares more than there is"));
        }
        key.truncate(entry.p);
        key.extend(rest);
        let text = String::from_utf8(key.clone()).map_err(|_| broken(format!("tree node {at}"), "a key is not text"))?;
        if records.len() >= limits::RECORDS_MAX {
            return Err(ImportError::TooMany(Network::Bluesky));
        }
        records.push((text, entry.v));
        if let Some(right) = &entry.t {
            walk(blocks, right, depth + 1, records)?;
        }
    }
    Ok(())
}

fn found(post: Post, did: &str, name: &str, place: &impl Fn() -> String) -> Result<Found, LeftOut> {
    let left_out = |why| LeftOut { place: place(), why };
    // Somebody's answers to themselves are how long posts are written there.
    let own = format!("at://{did}/");
    if post.reply.as_ref().is_some_and(|reply| !reply.parent.uri.starts_with(&own)) {
        return Err(left_out(Why::Answer));
    }
    let at_ms = clean::moment(&post.created_at).ok_or_else(|| left_out(Why::Time))?;
    let mut tags = post.tags;
    let mut text = facets::apply(&post.text, &post.facets, &mut tags);
    let (link, attachments) = post.embed.as_ref().map(embedded).unwrap_or_default();
    if let Some(link) = link.filter(|link| !text.contains(link.as_str())) {
        text = format!("{text}\n\n{link}");
    }
    let url = format!("https://bsky.app/profile/{did}/post/{name}");
    let lang = if post.langs.len() == 1 { post.langs.into_iter().next() } else { None };
    clean::post(place, Found { text, title: None, tags, lang, url, at_ms, attachments })
}

/// The link of a link card, and how many pictures or videos there are.
fn embedded(embed: &Ipld) -> (Option<String>, usize) {
    let get = |of: &Ipld, name: &str| if let Ipld::Map(map) = of { map.get(name).cloned() } else { None };
    let link = get(embed, "external").and_then(|card| get(&card, "uri"));
    let link = if let Some(Ipld::String(link)) = link { Some(link) } else { None };
    let pictures = if let Some(Ipld::List(pictures)) = get(embed, "images") { pictures.len() } else { 0 };
    let media = get(embed, "media").map_or(0, |media| embedded_media(&media));
    let video = usize::from(get(embed, "video").is_some());
    (link, pictures + video + media)
}

/// Pictures beside a quoted post; one level, since media hold no media.
fn embedded_media(media: &Ipld) -> usize {
    let Ipld::Map(map) = media else { return 0 };
    match map.get("images") {
        Some(Ipld::List(pictures)) => pictures.len(),
        _ => usize::from(map.contains_key("video")),
    }
}
