//! A strict reader of the HTML that the templates write: every element closed in order, every attribute quoted, nothing that runs.

use std::collections::BTreeSet;

/// Elements without content (HTML Living Standard §13.1.2).
const VOID: [&str; 5] = ["meta", "link", "br", "wbr", "input"];
/// The only attributes that pages use.
const ATTRIBUTES: [&str; 31] = [
    "property",
    "action",
    "method",
    "for",
    "maxlength",
    "placeholder",
    "value",
    "autocapitalize",
    "spellcheck",
    "cite",
    "lang",
    "charset",
    "name",
    "content",
    "rel",
    "type",
    "href",
    "class",
    "id",
    "dir",
    "datetime",
    "aria-label",
    "aria-labelledby",
    "aria-hidden",
    "title",
    "role",
    "start",
    "viewBox",
    "preserveAspectRatio",
    "width",
    "height",
];

/// An element with its attributes and all text in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) text: String,
    pub(super) depth: usize,
}

impl Element {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Reads a page; panics where it is not as pages should be.
pub(super) fn read(html: &str) -> Vec<Element> {
    let mut rest = html.strip_prefix("<!DOCTYPE html>").expect("starts with its doctype");
    let mut elements: Vec<Element> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    while !rest.is_empty() {
        let (text, after) = rest.split_once('<').unwrap_or((rest, ""));
        assert!(!text.contains('>'), "a stray > in {text:?}");
        let words = unescape(text);
        open.iter().for_each(|position| elements[*position].text.push_str(&words));
        if after.is_empty() {
            break;
        }
        let (tag, next) = after.split_once('>').expect("tags end");
        rest = next;
        if let Some(name) = tag.strip_prefix('/') {
            let position = open.pop().unwrap_or_else(|| panic!("</{name}> closes nothing"));
            assert_eq!(elements[position].name, name, "closed in order");
            continue;
        }
        let element = element(tag, open.len());
        if !VOID.contains(&element.name.as_str()) {
            open.push(elements.len());
        }
        elements.push(element);
    }
    assert!(open.is_empty(), "left open: {:?}", open.iter().map(|position| &elements[*position].name).collect::<Vec<_>>());
    check(&elements);
    elements
}

fn element(tag: &str, depth: usize) -> Element {
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
    assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "an element named {name:?}");
    let mut attributes = Vec::new();
    while !rest.trim().is_empty() {
        let (attribute, value) = rest.split_once("=\"").unwrap_or_else(|| panic!("an attribute without value in <{tag}>"));
        let (value, next) = value.split_once('"').expect("values are quoted");
        assert!(ATTRIBUTES.contains(&attribute.trim()), "attribute {attribute:?} in <{tag}>");
        attributes.push((attribute.trim().to_owned(), unescape(value)));
        rest = next;
    }
    Element { name: name.to_owned(), attributes, text: String::new(), depth }
}

/// What holds for every page.
fn check(elements: &[Element]) {
    let all = |name: &'static str| elements.iter().filter(move |element| element.name == name);
    for once in ["html", "head", "title", "body", "main", "h1"] {
        assert_eq!(all(once).count(), 1, "one <{once}>");
    }
    assert_eq!(all("html").next().and_then(|html| html.attribute("lang")), Some("en"));
    for never in ["style", "iframe", "base", "object", "embed", "img"] {
        assert_eq!(all(never).count(), 0, "no <{never}>");
    }
    for script in all("script") {
        assert_eq!(script.attribute("type"), Some("application/ld+json"), "nothing that runs");
        serde_json::from_str::<serde_json::Value>(&script.text).expect("structured data is JSON");
    }
    assert!(all("form").all(|form| form.attribute("action") == Some("/search") && form.attribute("method") == Some("get")));
    let mut ids = BTreeSet::new();
    for element in elements {
        if let Some(id) = element.attribute("id") {
            assert!(ids.insert(id), "id {id} twice");
        }
        let href = element.attribute("href").unwrap_or("/");
        assert!(["/", "#", "http://", "https://"].iter().any(|start| href.to_ascii_lowercase().starts_with(start)), "href {href:?}");
        assert!(!href.starts_with("//"), "href {href:?}");
    }
    for element in elements {
        for referred in
            element.attribute("aria-labelledby").into_iter().chain(element.attribute("href").and_then(|href| href.strip_prefix('#')))
        {
            assert!(ids.contains(referred), "#{referred} is nowhere");
        }
        if matches!(element.name.as_str(), "h1" | "h2" | "h3" | "a" | "title") {
            assert!(!element.text.trim().is_empty(), "an empty <{}>: {element:?}", element.name);
        }
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        let (entity, next) = after.split_once(';').unwrap_or_else(|| panic!("a stray & in {text:?}"));
        let number = entity.strip_prefix('#').and_then(|number| number.parse().ok()).and_then(char::from_u32);
        out.push_str(before);
        out.push(number.unwrap_or_else(|| panic!("entity {entity:?}")));
        rest = next;
    }
    out + rest
}
