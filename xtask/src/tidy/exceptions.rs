//! The list of known findings. Each line: rule, path, reason. An entry that matches nothing is an error, and so is one
//! more entry than `ENTRIES_MAX` allows: lower that number with every entry that goes.

use super::Finding;

/// Where the list is.
pub(super) const PATH: &str = "xtask/tidy-exceptions.txt";
/// How many entries there are; it is never raised without a reviewer who agrees.
const ENTRIES_MAX: usize = 0;

struct Entry<'a> {
    line: usize,
    rule: &'a str,
    path: &'a str,
    reason: &'a str,
}

/// The findings that no entry covers, and one more for each entry that is stale, unclear or too many.
pub(super) fn apply(list: &str, findings: Vec<Finding>) -> Vec<Finding> {
    apply_with_limit(list, findings, ENTRIES_MAX)
}

fn apply_with_limit(list: &str, findings: Vec<Finding>, entries_max: usize) -> Vec<Finding> {
    let entries = read(list);
    let covers = |entry: &Entry<'_>, finding: &Finding| entry.rule == finding.rule && entry.path == finding.path;
    let mut wrong = Vec::new();
    for entry in &entries {
        if entry.reason.is_empty() {
            wrong.push(Finding::new("exceptions", PATH, entry.line, "an entry is `rule path reason`; the reason is missing"));
        } else if !findings.iter().any(|finding| covers(entry, finding)) {
            wrong.push(Finding::new(
                "exceptions",
                PATH,
                entry.line,
                format!("`{} {}` no longer matches anything: remove it", entry.rule, entry.path),
            ));
        }
    }
    if entries.len() != entries_max {
        let message = format!(
            "{} entries, but ENTRIES_MAX in xtask/src/tidy/exceptions.rs is {entries_max}; the list may only shrink",
            entries.len()
        );
        wrong.push(Finding::new("exceptions", PATH, 0, message));
    }
    let mut left: Vec<Finding> = findings.into_iter().filter(|finding| !entries.iter().any(|entry| covers(entry, finding))).collect();
    left.append(&mut wrong);
    left
}

fn read(list: &str) -> Vec<Entry<'_>> {
    let lines = list.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let entries = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    entries
        .map(|(line, text)| {
            let (rule, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
            let rest = rest.trim_start();
            let (path, reason) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            Entry { line, rule, path, reason: reason.trim() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(list: &str, entries_max: usize, expected: &[&str]) {
        let findings = vec![Finding::new("file-lines", "a.rs", 0, "900 lines"), Finding::new("unwrap", "b.rs", 3, "unwrap")];
        let left = apply_with_limit(list, findings, entries_max);
        assert_eq!(left.iter().map(|finding| finding.rule).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_entry_covers_its_rule_in_its_file_only() {
        check("# known\nfile-lines a.rs to be split with #12\n", 1, &["unwrap"]);
        check("file-lines b.rs wrong file\n", 1, &["file-lines", "unwrap", "exceptions"]);
    }

    #[test]
    fn a_stale_entry_is_an_error() {
        check("unwrap c.rs mended long ago\n", 1, &["file-lines", "unwrap", "exceptions"]);
    }

    #[test]
    fn an_entry_without_a_reason_is_an_error() {
        check("unwrap b.rs\n", 1, &["file-lines", "exceptions"]);
    }

    #[test]
    fn the_list_may_not_grow_and_its_limit_must_shrink_with_it() {
        check("unwrap b.rs later\n", 0, &["file-lines", "exceptions"]);
        check("unwrap b.rs later\n", 2, &["file-lines", "exceptions"]);
    }
}
