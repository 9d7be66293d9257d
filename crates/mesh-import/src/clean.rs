//! Making what a file says fit to stand in a record.

use crate::{Found, LeftOut, Why};
use mesh_proto::limits::{IMPORT_URL_BYTES_MAX, JSON_INTEGER_MAX, TAG_BYTES_MAX, TAGS_MAX, TEXT_BYTES_MAX, TITLE_BYTES_MAX};

/// Checks a post against what records may hold, and drops what they may not: control characters, odd tags and languages, long titles.
pub(crate) fn post(place: impl FnOnce() -> String, found: Found) -> Result<Found, LeftOut> {
    let text = text(&found.text);
    let why = if text.is_empty() {
        Some(Why::NoText)
    } else if text.len() > TEXT_BYTES_MAX {
        Some(Why::TooLong)
    } else if found.url.is_empty() || found.url.len() > IMPORT_URL_BYTES_MAX || !found.url.bytes().all(|b| b.is_ascii_graphic()) {
        Some(Why::Url)
    } else if !i64::try_from(found.at_ms).is_ok_and(|at| at <= JSON_INTEGER_MAX) {
        Some(Why::Time)
    } else {
        None
    };
    if let Some(why) = why {
        return Err(LeftOut { place: place(), why });
    }
    let title = found.title.map(|title| line(&title, TITLE_BYTES_MAX)).filter(|title| !title.is_empty());
    let mut tags: Vec<String> = Vec::new();
    for tag in found.tags {
        let tag = tag.trim_start_matches('#');
        if is_tag(tag) && tags.len() < TAGS_MAX && !tags.iter().any(|known| known == tag) {
            tags.push(tag.to_owned());
        }
    }
    Ok(Found { text, title, tags, lang: found.lang.filter(|lang| is_lang(lang)), ..found })
}

/// Text without what no record may hold: control characters and noncharacters; lines end with U+000A.
pub(crate) fn text(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let kept: String = text.chars().filter(|&c| c == '\n' || c == '\t' || !(c.is_control() || is_noncharacter(c))).collect();
    kept.trim().to_owned()
}

fn line(given: &str, bytes_max: usize) -> String {
    let mut line = text(given).replace(['\n', '\t'], " ");
    while line.len() > bytes_max {
        line.pop();
    }
    line.trim_end().to_owned()
}

fn is_noncharacter(c: char) -> bool {
    u32::from(c) & 0xfffe == 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&c)
}

fn is_tag(tag: &str) -> bool {
    let fits = |c: char| {
        if c.is_ascii() {
            c.is_ascii_alphanumeric() || c == '_' || c == '-'
        } else {
            !c.is_whitespace() && !is_noncharacter(c) && !c.is_control()
        }
    };
    !tag.is_empty() && tag.len() <= TAG_BYTES_MAX && tag.chars().all(fits)
}

fn is_lang(lang: &str) -> bool {
    let is_subtag = |subtag: &str| (1..=8).contains(&subtag.len()) && subtag.bytes().all(|b| b.is_ascii_alphanumeric());
    lang.len() <= 35 && lang.split('-').all(is_subtag)
}

/// A moment as networks write it (RFC 3339), in milliseconds since the epoch.
pub(crate) fn moment(text: &str) -> Option<u64> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(moment.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_all_spellings_are_read() {
        for text in ["2023-05-01T12:34:56Z", "2023-05-01T12:34:56.000Z", "2023-05-01T14:34:56+02:00", "2023-05-01T12:34:56.000000+00:00"] {
            assert_eq!(moment(text), Some(1_682_944_496_000), "{text}");
        }
        assert_eq!(moment("1969-12-31T23:59:59Z"), None);
        assert_eq!(moment("yesterday"), None);
    }

    #[test]
    fn what_no_record_may_hold_is_dropped() {
        assert_eq!(text("a\u{1b}[2Jb\r\nc\u{0}\u{ffff}\u{fdd0}\n"), "a[2Jb\nc");
        assert!(is_tag("straße") && !is_tag("two words") && !is_tag("") && !is_lang("x_y") && is_lang("pt-BR"));
    }
}
