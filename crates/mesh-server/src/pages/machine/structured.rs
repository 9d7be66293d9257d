//! Structured data: what a page is about, in schema.org's words as JSON-LD.

use super::super::entry::Entry;
use super::super::person::PersonFacts;
use super::super::record::Thread;
use super::super::text::Text;
use super::super::{Head, Site};
use askama::filters::HtmlSafe;
use mesh_proto::api::Counts;
use mesh_proto::envelope::Kind;
use serde_json::{Value, json};
use std::fmt;

/// One description, ready to stand in a `<script type="application/ld+json">`, which no browser runs.
#[derive(Debug, Clone)]
pub(in crate::pages) struct Graph(String);

/// What could end the element, begin another or change how a parser reads on is written as an escape of JSON.
impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Graph {}

impl Graph {
    fn new(mut value: Value) -> Self {
        value["@context"] = "https://schema.org".into();
        let mut text = String::new();
        for c in value.to_string().chars() {
            match c {
                '<' | '>' | '&' | '\'' | '\u{2028}' | '\u{2029}' => text.push_str(&format!("\\u{:04x}", c as u32)),
                c => text.push(c),
            }
        }
        Self(text)
    }

    /// A page of no special kind: `WebSite`, `AboutPage`, `CollectionPage`.
    pub(in crate::pages) fn page(kind: &str, head: &Head, site: &Site) -> Self {
        let mut page =
            json!({ "@type": kind, "name": head.title, "description": head.description, "url": head.canonical, "inLanguage": "en" });
        if kind == "WebSite" {
            let target =
                json!({ "@type": "EntryPoint", "urlTemplate": format!("{}/search?q={{search_term_string}}", site.domain.base_url()) });
            page["potentialAction"] =
                json!({ "@type": "SearchAction", "target": target, "query-input": "required name=search_term_string" });
        }
        Self::new(page)
    }

    /// A person's page.
    pub(in crate::pages) fn profile(person: &PersonFacts, head: &Head, counts: &Counts) -> Self {
        let count = |kind| counts.get(&kind).copied().unwrap_or_default();
        let mut entity = json!({
            "@type": "Person",
            "name": person.name,
            "alternateName": person.address,
            "identifier": person.account,
            "url": head.canonical,
            "interactionStatistic": interaction("FollowAction", count(Kind::Subscribe)),
            "agentInteractionStatistic": interaction("WriteAction", count(Kind::Post)),
        });
        if !person.bio.paragraphs.is_empty() {
            entity["description"] = plain(&person.bio).into();
        }
        Self::new(json!({ "@type": "ProfilePage", "url": head.canonical, "dateCreated": person.since.machine, "mainEntity": entity }))
    }

    /// A post with its comments, or a comment.
    pub(in crate::pages) fn posting(
        entry: &Entry,
        (name, author_url): (&str, &str),
        url: &str,
        thread: &Thread,
        counts: &Counts,
    ) -> Option<Self> {
        let words = entry.words()?;
        let count = |kind| counts.get(&kind).copied().unwrap_or_default();
        let kinds = if entry.kind == Kind::Comment { json!("Comment") } else { json!(["SocialMediaPosting", "DiscussionForumPosting"]) };
        let mut posting = json!({
            "@type": kinds,
            "@id": url,
            "url": url,
            "mainEntityOfPage": url,
            "identifier": entry.id.to_string(),
            "headline": words.title.as_deref().unwrap_or(&words.summary),
            "text": plain(&words.text),
            "author": { "@type": "Person", "name": name, "alternateName": entry.author.address.to_string(), "url": author_url },
            "datePublished": entry.published.machine,
            "dateModified": entry.edited.as_ref().unwrap_or(&entry.published).machine,
            "commentCount": count(Kind::Comment),
            "interactionStatistic": [interaction("LikeAction", count(Kind::Like)), interaction("ShareAction", count(Kind::Repost))],
        });
        if let Some(lang) = &words.lang {
            posting["inLanguage"] = lang.as_str().into();
        }
        if !words.tags.is_empty() {
            posting["keywords"] = words.tags.iter().map(|tag| tag.name.as_str()).collect::<Vec<_>>().into();
        }
        if let Some(preview) = &words.preview {
            posting["sharedContent"] = json!({ "@type": "WebPage", "url": preview.url, "headline": preview.title });
        }
        let comments: Vec<Value> = thread.answers.iter().filter_map(|answer| comment(&answer.entry, url)).collect();
        if !comments.is_empty() {
            posting["comment"] = comments.into();
        }
        Some(Self::new(posting))
    }
}

/// A comment, if its words are here.
fn comment(entry: &Entry, page: &str) -> Option<Value> {
    let words = entry.words()?;
    let address = entry.author.address.to_string();
    let author = json!({ "@type": "Person", "name": address, "url": entry.author.url() });
    let url = format!("{page}#c-{}", entry.id);
    Some(json!({ "@type": "Comment", "url": url, "text": plain(&words.text), "author": author, "datePublished": entry.published.machine }))
}

fn interaction(kind: &str, count: u64) -> Value {
    json!({ "@type": "InteractionCounter", "interactionType": format!("https://schema.org/{kind}"), "userInteractionCount": count })
}

/// A text without its links' markup.
fn plain(text: &Text) -> String {
    text.plain()
}
