//! Facets: which bytes of a text are a link or a tag. Links are written shortened there; here the whole address takes their place.

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Facet {
    index: Range,
    features: Vec<Feature>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Range {
    byte_start: usize,
    byte_end: usize,
}

#[derive(Debug, Clone, Deserialize)]
struct Feature {
    #[serde(rename = "$type")]
    kind: String,
    #[serde(default)]
    uri: Option<String>,
    #[serde(default)]
    tag: Option<String>,
}

/// The text with whole links; tags are added to `tags`. Ranges that do not fit the text are passed over.
pub(super) fn apply(text: &str, facets: &[Facet], tags: &mut Vec<String>) -> String {
    let mut links: Vec<(usize, usize, &str)> = Vec::new();
    for facet in facets {
        for feature in &facet.features {
            match (feature.kind.as_str(), &feature.uri, &feature.tag) {
                ("app.bsky.richtext.facet#link", Some(uri), _) => links.push((facet.index.byte_start, facet.index.byte_end, uri)),
                ("app.bsky.richtext.facet#tag", _, Some(tag)) => tags.push(tag.clone()),
                _ => {}
            }
        }
    }
    links.sort_unstable();
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (start, end, uri) in links {
        let (Some(before), Some(words)) = (text.get(done..start), text.get(start..end)) else { continue };
        out.push_str(before);
        let shortened = words.trim_end_matches("...").trim_end_matches('…').trim_end_matches('/');
        let bare = uri.trim_start_matches("https://").trim_start_matches("http://");
        if bare.starts_with(shortened) || uri.starts_with(shortened) {
            out.push_str(uri);
        } else {
            out.push_str(&format!("{words} ({uri})"));
        }
        done = end;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(start: usize, end: usize, uri: &str) -> Facet {
        let feature = Feature { kind: "app.bsky.richtext.facet#link".into(), uri: Some(uri.into()), tag: None };
        Facet { index: Range { byte_start: start, byte_end: end }, features: vec![feature] }
    }

    fn check(text: &str, facets: &[Facet], expected: &str) {
        assert_eq!(apply(text, facets, &mut Vec::new()), expected);
    }

    #[test]
    fn shortened_links_become_whole_and_others_keep_their_words() {
        check("see example.org/a/lo... now", &[link(4, 23, "https://example.org/a/long")], "see https://example.org/a/long now");
        check("über hier", &[link(6, 10, "https://e.example")], "über hier (https://e.example)");
    }

    #[test]
    fn ranges_that_do_not_fit_are_passed_over() {
        check("über", &[link(1, 3, "https://e.example"), link(4, 99, "https://e.example"), link(3, 2, "https://e.example")], "über");
    }
}
