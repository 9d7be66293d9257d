//! Rules on the text of one Rust source, and the source itself: its tokens, its syntax tree and which lines are tests.

use super::Finding;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::ops::RangeInclusive;
use std::str::FromStr;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// One token; literals are all the same, for no rule looks inside them.
pub(super) struct Token {
    pub(super) text: String,
    /// 1-based.
    pub(super) line: usize,
}

/// A Rust source as the rules see it.
pub(super) struct Source {
    pub(super) path: String,
    pub(super) tokens: Vec<Token>,
    pub(super) tree: syn::File,
    pub(super) lines: usize,
    /// The whole file is a test.
    pub(super) is_test: bool,
    /// Written by a program, which says so with `@generated` in the first lines.
    pub(super) is_generated: bool,
    /// Lines of test items inside a file that is not a test as a whole.
    pub(super) test_items: Vec<RangeInclusive<usize>>,
    has_header: bool,
    has_paused_clock: bool,
}

impl Source {
    /// Reads a source; what does not parse is itself a finding.
    pub(super) fn parse(path: &str, text: &str) -> Result<Self, Finding> {
        let unreadable =
            |line: usize, error: &dyn std::fmt::Display| Finding::new("syntax", path, line, format!("cannot be parsed: {error}"));
        let tree = syn::parse_file(text).map_err(|error| unreadable(error.span().start().line, &error))?;
        let stream = TokenStream::from_str(text).map_err(|error| unreadable(0, &error))?;
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        let mut items = TestItems::default();
        items.visit_file(&tree);
        let by_path = path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs");
        Ok(Self {
            path: path.to_owned(),
            tokens,
            is_test: by_path || tree.attrs.iter().any(is_test_attribute),
            tree,
            lines: text.lines().count(),
            is_generated: text.lines().take(5).any(|line| line.contains("@generated")),
            test_items: items.ranges,
            has_header: text.starts_with("//!"),
            has_paused_clock: text.contains("(start_paused = true)"),
        })
    }

    /// Whether a line belongs to a test.
    pub(super) fn is_test_line(&self, line: usize) -> bool {
        self.is_test || self.test_items.iter().any(|range| range.contains(&line))
    }

    /// Lines of tests inside a file that is not a test as a whole.
    pub(super) fn test_lines(&self) -> usize {
        self.test_items.iter().map(|range| range.end() - range.start() + 1).sum()
    }
}

/// Checks the header and the tokens.
pub(super) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if source.path.contains("src/") && !source.has_header && !source.path.ends_with("/tests.rs") {
        findings.push(Finding::new("header", &source.path, 1, "start the file with `//!`: what it owns, and what it does not do"));
    }
    for (index, token) in source.tokens.iter().enumerate() {
        let in_test = source.is_test_line(token.line);
        // Under tokio's paused clock a sleep takes no time: it moves the clock.
        let may_wait = (!in_test && !source.path.starts_with("crates/mesh-testkit/")) || source.has_paused_clock;
        let found = match token.text.as_str() {
            "unwrap" if !in_test && is(source, index, -1, ".") && is(source, index, 1, "(") && is(source, index, 2, ")") => {
                ("unwrap", "`unwrap()` outside tests: return an error, or `expect` with the reason why it cannot fail")
            }
            "todo" | "dbg" | "unimplemented" if is(source, index, 1, "!") && opens(source, index + 2) => {
                ("unfinished", "unfinished: `todo!`, `unimplemented!` and `dbg!` do not land")
            }
            "allow" if !in_test && is(source, index, -1, "[") && is(source, index, 1, "(") => {
                ("allow", "`#[allow]` hides for ever: use `#[expect(.., reason = \"…\")]`")
            }
            "sleep" if !may_wait && is(source, index, 1, "(") && !is(source, index, -1, "fn") => {
                ("sleep", "a test that sleeps is slow or flaky: wait for a state, or move a simulated clock (docs/flaky-tests.md)")
            }
            _ => continue,
        };
        findings.push(Finding::new(found.0, &source.path, token.line, found.1));
    }
    findings
}

fn is(source: &Source, index: usize, offset: isize, text: &str) -> bool {
    index.checked_add_signed(offset).and_then(|at| source.tokens.get(at)).is_some_and(|token| token.text == text)
}

fn opens(source: &Source, index: usize) -> bool {
    source.tokens.get(index).is_some_and(|token| ["(", "[", "{"].contains(&token.text.as_str()))
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        let (text, line) = match tree {
            TokenTree::Ident(ident) => (ident.to_string(), ident.span().start().line),
            TokenTree::Punct(punct) => (punct.as_char().to_string(), punct.span().start().line),
            TokenTree::Literal(literal) => ("<literal>".to_owned(), literal.span().start().line),
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                tokens.push(Token { text: open.to_owned(), line: group.span_open().start().line });
                flatten(group.stream(), tokens);
                (close.to_owned(), group.span_close().start().line)
            }
        };
        tokens.push(Token { text, line });
    }
}

/// Collects the outermost items that are only there in tests.
#[derive(Default)]
struct TestItems {
    ranges: Vec<RangeInclusive<usize>>,
}

impl TestItems {
    fn take(&mut self, attributes: &[syn::Attribute], item: &impl Spanned) -> bool {
        let test = attributes.iter().any(is_test_attribute);
        if test {
            let span = item.span();
            self.ranges.push(span.start().line..=span.end().line);
        }
        test
    }
}

impl<'a> Visit<'a> for TestItems {
    fn visit_item(&mut self, item: &'a syn::Item) {
        if !self.take(attributes_of(item), item) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        if !self.take(&item.attrs, item) {
            visit::visit_impl_item_fn(self, item);
        }
    }
}

fn attributes_of(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// `#[test]`, `#[tokio::test]`, `#[cfg(test)]`, `#[cfg(any(test, …))]`; not `#[cfg(not(test))]`.
fn is_test_attribute(attribute: &syn::Attribute) -> bool {
    let Some(last) = attribute.path().segments.last() else {
        return false;
    };
    if last.ident == "test" {
        return true;
    }
    let syn::Meta::List(list) = &attribute.meta else { return false };
    attribute.path().is_ident("cfg") && names_test(list.tokens.clone())
}

fn names_test(stream: TokenStream) -> bool {
    let mut negated = false;
    for tree in stream {
        match tree {
            TokenTree::Ident(ident) if ident == "test" => return true,
            TokenTree::Ident(ident) => negated = ident == "not",
            TokenTree::Group(group) if !negated && names_test(group.stream()) => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "crates/a/src/x.rs";

    fn check_text(path: &str, body: &str, expected: &[(&str, usize)]) {
        let findings = check(&Source::parse(path, body).unwrap());
        assert_eq!(findings.iter().map(|finding| (finding.rule, finding.line)).collect::<Vec<_>>(), expected, "{body}");
    }

    #[test]
    fn unwrap_fires_outside_tests_only() {
        check_text(PATH, "//! x\nfn f() { g().unwrap(); }", &[("unwrap", 2)]);
        check_text(PATH, "//! x\nfn f() { println!(\"{}\", g().unwrap()); }", &[("unwrap", 2)]);
        check_text(PATH, "//! x\n// .unwrap()\nfn f() { g(\".unwrap()\").unwrap_or(1); }", &[]);
        check_text(PATH, "//! x\n#[cfg(test)]\nmod tests {\n fn f() { g().unwrap(); }\n}", &[]);
        check_text("crates/a/tests/it/main.rs", "fn f() { g().unwrap(); }", &[]);
    }

    #[test]
    fn code_for_other_than_tests_is_no_test() {
        check_text(PATH, "//! x\n#[cfg(not(test))]\nfn f() { g().unwrap(); }", &[("unwrap", 3)]);
    }

    #[test]
    fn unfinished_code_fires_everywhere() {
        check_text(PATH, "//! x\nfn f() { todo!() }\nfn g() { dbg!(1); }", &[("unfinished", 2), ("unfinished", 3)]);
        check_text(PATH, "//! x\nfn f() -> bool { todo != 1 }", &[]);
    }

    #[test]
    fn allow_fires() {
        check_text(PATH, "//! x\n#[allow(dead_code)]\nfn f() {}", &[("allow", 2)]);
        check_text(PATH, "//! x\n#![allow(dead_code)]\nfn f() {}", &[("allow", 2)]);
        check_text(PATH, "//! x\n#[expect(dead_code, reason = \"y\")]\nfn f() { allow(1) }", &[]);
    }

    #[test]
    fn sleeping_fires_in_tests_and_in_the_testkit() {
        check_text("crates/a/tests/it/main.rs", "fn f() { std::thread::sleep(d); }", &[("sleep", 1)]);
        check_text("crates/mesh-testkit/src/x.rs", "//! x\nasync fn f() { tokio::time::sleep(d).await; }", &[("sleep", 2)]);
        let paused = "//! x\n#[tokio::test(start_paused = true)]\nasync fn f() { tokio::time::sleep(d).await; }";
        check_text(PATH, paused, &[]);
        check_text(PATH, "//! x\nfn f() { sleep(d); }\n#[test]\nfn g() { sleep(d); }", &[("sleep", 4)]);
    }

    #[test]
    fn a_source_without_a_header_fires() {
        check_text(PATH, "fn f() {}", &[("header", 1)]);
        check_text("crates/a/tests/it/like.rs", "fn f() {}", &[]);
        check_text("crates/a/src/x/tests.rs", "fn f() {}", &[]);
    }

    #[test]
    fn what_does_not_parse_is_a_finding() {
        assert_eq!(Source::parse(PATH, "fn f( {").err().map(|finding| finding.rule), Some("syntax"));
    }
}
