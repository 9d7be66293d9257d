//! Plain text out of the HTML of a post. No markup, script or style comes through; links keep their address.

use html5gum::{StartTag, Token, Tokenizer};

/// Elements whose content is no text for people.
const SILENT: [&[u8]; 5] = [b"script", b"style", b"template", b"noscript", b"iframe"];

#[derive(Default)]
struct Writer {
    text: String,
    /// The address of the link that is open, and where its text begins.
    link: Option<(String, usize)>,
    /// The silent element that is open; all is passed over until it ends.
    silent: Option<Vec<u8>>,
}

/// The text of a piece of HTML.
pub(crate) fn text(html: &str) -> String {
    let mut writer = Writer::default();
    for token in Tokenizer::new(html).flatten() {
        match token {
            Token::StartTag(tag) => writer.start(&tag),
            Token::EndTag(tag) => writer.end(&tag.name),
            Token::String(text) if writer.silent.is_none() => writer.text.push_str(&String::from_utf8_lossy(&text)),
            _ => {}
        }
    }
    writer.close_link();
    writer.text.trim().to_owned()
}

impl Writer {
    fn start(&mut self, tag: &StartTag<()>) {
        let name: &[u8] = &tag.name;
        if self.silent.is_some() {
            return;
        }
        if SILENT.contains(&name) && !tag.self_closing {
            self.silent = Some(name.to_vec());
            return;
        }
        match name {
            b"br" => self.text.push('\n'),
            b"p" | b"blockquote" | b"pre" | b"ul" | b"ol" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" => self.paragraph(),
            b"li" => self.text.push_str("\n- "),
            b"a" => {
                self.close_link();
                let is_class = |word: &str| attribute(tag, b"class").is_some_and(|class| class.split_whitespace().any(|one| one == word));
                // Mentions and tags lead to pages of their network; their words are enough.
                let href = attribute(tag, b"href").filter(|href| href.starts_with("https://") || href.starts_with("http://"));
                self.link = href.filter(|_| !is_class("mention") && !is_class("hashtag")).map(|href| (href, self.text.len()));
            }
            _ => {}
        }
    }

    fn end(&mut self, name: &[u8]) {
        if self.silent.as_deref() == Some(name) {
            self.silent = None;
        } else if self.silent.is_none() {
            match name {
                b"a" => self.close_link(),
                b"p" | b"blockquote" | b"pre" => self.paragraph(),
                _ => {}
            }
        }
    }

    fn paragraph(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push_str(if self.text.ends_with('\n') { "\n" } else { "\n\n" });
        }
    }

    /// The words of a link are its address, shortened for the eye, or words of their own; the address is what is kept of the former.
    fn close_link(&mut self) {
        let Some((href, from)) = self.link.take() else { return };
        let words = self.text.split_off(from.min(self.text.len()));
        let bare = |link: &str| link.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches(['/', '…']).to_owned();
        if words.trim().is_empty() || bare(&href).starts_with(&bare(words.trim())) {
            self.text.push_str(&href);
        } else {
            self.text.push_str(&format!("{words} ({href})"));
        }
    }
}

fn attribute(tag: &StartTag<()>, name: &[u8]) -> Option<String> {
    tag.attributes.iter().find(|(own, _)| own.as_slice() == name).map(|(_, value)| String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(html: &str, expected: &str) {
        assert_eq!(text(html), expected);
    }

    #[test]
    fn paragraphs_breaks_and_entities_become_plain_lines() {
        check("<p>one<br>two</p><p>three &amp; four &lt;b&gt; &#x1F600;</p>", "one\ntwo\n\nthree & four <b> 😀");
        check("<ul><li>a</li><li>b</li></ul>", "- a\n- b");
    }

    #[test]
    fn links_keep_their_address_once() {
        let shortened = r#"<a href="https://example.org/a/long/path"><span class="invisible">https://</span><span class="ellipsis">example.org/a/lo</span><span class="invisible">ng/path</span></a>"#;
        check(shortened, "https://example.org/a/long/path");
        check(r#"<a href="https://example.org/">a page</a>"#, "a page (https://example.org/)");
        check(r#"<a class="mention hashtag" href="https://s.example/tags/rust">#<span>rust</span></a>"#, "#rust");
        check(r#"<a href="javascript:alert(1)">click</a>"#, "click");
    }

    #[test]
    fn nothing_that_acts_comes_through() {
        check("a<script>alert('x')</script>b<style>p{}</style>c", "abc");
        check(r#"<img src=x onerror="alert(1)">text<!-- hidden -->"#, "text");
        check("<p>never closed <a href='https://e.example/x'>link", "never closed link (https://e.example/x)");
    }
}
