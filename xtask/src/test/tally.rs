//! How many tests passed, read from the closing lines of `cargo nextest` and `cargo test`.

/// Counts of tests; `closed` once a runner's closing line was seen.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
    closed: bool,
}

impl Tally {
    /// Adds the counts of one line, if it is a closing line.
    pub(super) fn read(&mut self, line: &str) {
        let line = without_parentheses(&without_colours(line));
        // nextest shows the output of a failed test, indented, and with it the closing line of that one test.
        let counts = if line.trim_start().starts_with("Summary [") {
            line.split_once("run:").map(|(_, counts)| counts.split(',').collect::<Vec<_>>())
        } else {
            line.strip_prefix("test result:").map(|rest| rest.split([';', '.']).collect())
        };
        for count in counts.into_iter().flatten() {
            self.closed = true;
            let mut words = count.split_whitespace();
            let (Some(Ok(number)), Some(word)) = (words.next().map(str::parse::<u64>), words.next()) else {
                continue;
            };
            match word {
                "passed" => self.passed += number,
                "skipped" | "ignored" => self.skipped += number,
                // Of `cargo test`: what a filter left out, and benches run as tests.
                "filtered" | "measured" => {}
                // `failed`, `timed out`, `exec failed`: whatever else nextest counts did not pass.
                _ => self.failed += number,
            }
        }
    }

    /// Adds another runner's counts.
    pub(super) fn add(&mut self, other: &Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.closed |= other.closed;
    }

    /// The closing line; `None` when no runner got as far as to close.
    pub(super) fn line(&self) -> Option<String> {
        let skipped = if self.skipped > 0 { format!(", {} skipped", self.skipped) } else { String::new() };
        self.closed.then(|| format!("{} passed, {} failed{skipped}", self.passed, self.failed))
    }
}

fn without_colours(line: &str) -> String {
    let mut parts = line.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or(part, |(_, rest)| rest))
}

fn without_parentheses(line: &str) -> String {
    let mut depth = 0_u32;
    let mut text = String::new();
    for c in line.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => text.push(c),
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[&str], expected: Option<&str>) {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| tally.read(line));
        assert_eq!(tally.line().as_deref(), expected);
    }

    #[test]
    fn closing_line_of_nextest_is_counted() {
        check(&["     Summary [   0.005s] 5 tests run: 5 passed, 0 skipped"], Some("5 passed, 0 failed"));
        check(
            &["     Summary [  12.1s] 10/12 tests run: 7 passed (1 slow, 2 flaky), 2 failed, 1 timed out, 3 skipped"],
            Some("7 passed, 3 failed, 3 skipped"),
        );
    }

    #[test]
    fn colours_do_not_hide_the_closing_line() {
        check(
            &["\x1b[32;1m     Summary\x1b[0m [   0.0s] \x1b[1m2\x1b[0m tests run: \x1b[1m2\x1b[0m \x1b[32;1mpassed\x1b[0m, 0 skipped"],
            Some("2 passed, 0 failed"),
        );
    }

    #[test]
    fn closing_lines_of_cargo_test_add_up() {
        let ok = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 9 filtered out; finished in 0.00s";
        let bad = "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        check(&[ok, bad], Some("4 passed, 2 failed, 1 skipped"));
    }

    #[test]
    fn output_of_a_failed_test_is_not_counted_again() {
        let shown = "    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.12s";
        check(&[shown, "     Summary [   0.1s] 2 tests run: 1 passed, 1 failed, 0 skipped"], Some("1 passed, 1 failed"));
    }

    #[test]
    fn without_a_closing_line_nothing_is_claimed() {
        check(&["error: could not compile `mesh-proto`", "1 passed, 1 failed"], None);
    }
}
