//! Links between documents: every relative link of every Markdown file leads to a file, and to a heading in it.

use super::Finding;
use super::tree::{Tree, line_at};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use std::collections::BTreeSet;

/// Checks every Markdown file.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let documents = tree.texts().filter(|(path, _)| path.ends_with(".md"));
    documents
        .flat_map(|(path, text)| {
            links(text).into_iter().filter_map(move |(at, link)| broken(tree, path, &link).map(|why| (path, line_at(text, at), why)))
        })
        .map(|(path, line, why)| Finding::new("link", path, line, why))
        .collect()
}

fn parser(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES | Options::ENABLE_TASKLISTS)
}

/// Links and images with their byte positions.
fn links(text: &str) -> Vec<(usize, String)> {
    let events = parser(text).into_offset_iter();
    events
        .filter_map(|(event, range)| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Some((range.start, dest_url.into_string())),
            _ => None,
        })
        .collect()
}

/// Why a link leads nowhere; `None` when it is fine or leads to another place than this repository.
fn broken(tree: &Tree, from: &str, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() { from.to_owned() } else { resolve(from, path) };
    if !tree.has(&target) {
        return Some(format!("`{link}` leads to `{target}`, which is not there"));
    }
    let text = tree.text(&target).filter(|_| target.ends_with(".md") && !anchor.is_empty())?;
    (!headings(text).contains(anchor)).then(|| format!("`{link}`: `{target}` has no heading `#{anchor}`"))
}

/// A path from the root, given a file and a link in it.
fn resolve(from: &str, link: &str) -> String {
    let mut parts: Vec<&str> = if link.starts_with('/') { Vec::new() } else { from.split('/').collect() };
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The anchors of a document's headings: lower case, letters, digits and hyphens, numbered when they repeat.
fn headings(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut heading: Option<String> = None;
    for event in parser(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let slug = slug(&heading.take().unwrap_or_default());
                let numbered = (1..).map(|number| format!("{slug}-{number}"));
                if let Some(free) = std::iter::once(slug.clone()).chain(numbered).find(|anchor| !anchors.contains(anchor)) {
                    anchors.insert(free);
                }
            }
            Event::Text(words) | Event::Code(words) => heading.iter_mut().for_each(|heading| heading.push_str(&words)),
            _ => {}
        }
    }
    anchors
}

fn slug(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_link(link: &str, fires: bool) {
        let text = format!("# Title\n\nsee [it]({link})\n\n```\n[no](link.md)\n```\n");
        let tree = Tree::of(&[("docs/a.md", &text), ("docs/b.md", "# One\n## `two` & three\n# One\n"), ("LICENSE", "")]);
        let findings = check(&tree);
        assert_eq!(
            findings.iter().map(|finding| finding.line).collect::<Vec<_>>(),
            if fires { vec![3] } else { vec![] },
            "{link}: {findings:?}"
        );
    }

    #[test]
    fn a_link_to_nowhere_fires() {
        check_link("c.md", true);
        check_link("../docs/c.md", true);
        check_link("b.md#four", true);
        check_link("#four", true);
    }

    #[test]
    fn a_link_that_leads_somewhere_is_accepted() {
        for link in [
            "b.md",
            "./b.md",
            "../LICENSE",
            "../docs",
            "/LICENSE",
            "b.md#one",
            "b.md#one-1",
            "b.md#two--three",
            "#title",
            "https://example.org/x",
        ] {
            check_link(link, false);
        }
    }
}
