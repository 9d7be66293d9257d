//! Sizes that keep rooms livable: lines of a file and of a function, parameters, and ARCHITECTURE.md.

use super::Finding;
use super::source::Source;
use syn::visit::{self, Visit};

const FILE_LINES_WANTED: usize = 400;
const FILE_LINES_MAX: usize = 800;
const INLINE_TEST_LINES_MAX: usize = 200;
const FUNCTION_LINES_MAX: usize = 70;
const PARAMETERS_MAX: usize = 5;
const ARCHITECTURE_LINES_MAX: usize = 300;

/// Checks one source; tests do not count as lines of their file, and generated files do not count at all.
pub(super) fn check(source: &Source) -> Vec<Finding> {
    if source.is_generated {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let lines = source.lines - source.test_lines().min(source.lines);
    if !source.is_test && lines > FILE_LINES_MAX {
        findings.push(Finding::new(
            "file-lines",
            &source.path,
            0,
            format!("{lines} lines without tests; {FILE_LINES_MAX} at most, {FILE_LINES_WANTED} wanted"),
        ));
    }
    if !source.is_test && source.test_lines() > INLINE_TEST_LINES_MAX {
        let message =
            format!("{} lines of tests in the file; move them to `{}/tests.rs`", source.test_lines(), source.path.trim_end_matches(".rs"));
        findings.push(Finding::new("inline-tests", &source.path, 0, message));
    }
    let mut functions = Functions { source, findings, in_trait_impl: false };
    functions.visit_file(&source.tree);
    functions.findings
}

/// A note on a file that is longer than wanted, though not too long.
pub(super) fn wanted(source: &Source) -> Option<String> {
    let lines = source.lines - source.test_lines().min(source.lines);
    let long = !source.is_test && !source.is_generated && (FILE_LINES_WANTED + 1..=FILE_LINES_MAX).contains(&lines);
    long.then(|| format!("{}: {lines} lines without tests; {FILE_LINES_WANTED} wanted", source.path))
}

/// Checks the length of ARCHITECTURE.md.
pub(super) fn check_document((path, text): (&str, &str)) -> Option<Finding> {
    let lines = text.lines().count();
    (path == "ARCHITECTURE.md" && lines > ARCHITECTURE_LINES_MAX)
        .then(|| Finding::new("architecture-lines", path, 0, format!("{lines} lines; {ARCHITECTURE_LINES_MAX} at most")))
}

struct Functions<'a> {
    source: &'a Source,
    findings: Vec<Finding>,
    /// A trait fixes the parameters of its implementations: they are counted once, in the trait.
    in_trait_impl: bool,
}

impl Functions<'_> {
    fn function(&mut self, signature: &syn::Signature, block: Option<&syn::Block>) {
        let start = signature.fn_token.span.start().line;
        if self.source.is_test_line(start) {
            return;
        }
        let parameters = signature.inputs.len();
        if parameters > PARAMETERS_MAX && !self.in_trait_impl {
            let message = format!("`{}` has {parameters} parameters; {PARAMETERS_MAX} at most", signature.ident);
            self.findings.push(Finding::new("parameters", &self.source.path, start, message));
        }
        let lines = block.map_or(1, |block| block.brace_token.span.close().end().line - start + 1);
        if lines > FUNCTION_LINES_MAX {
            let message = format!("`{}` has {lines} lines; {FUNCTION_LINES_MAX} at most", signature.ident);
            self.findings.push(Finding::new("function-lines", &self.source.path, start, message));
        }
    }
}

impl<'a> Visit<'a> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        self.function(&item.sig, Some(&item.block));
        visit::visit_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'a syn::ItemImpl) {
        let outer = std::mem::replace(&mut self.in_trait_impl, item.trait_.is_some());
        visit::visit_item_impl(self, item);
        self.in_trait_impl = outer;
    }

    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        self.function(&item.sig, Some(&item.block));
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'a syn::TraitItemFn) {
        self.function(&item.sig, item.default.as_ref());
        visit::visit_trait_item_fn(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(path: &str, text: &str, expected: &[&str]) {
        let findings = check(&Source::parse(path, text).unwrap());
        assert_eq!(findings.iter().map(|finding| finding.rule).collect::<Vec<_>>(), expected);
    }

    fn long_function(lines: usize) -> String {
        format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2))
    }

    #[test]
    fn a_long_file_fires_and_its_tests_do_not_count() {
        let structs = |count: usize| "struct S;\n".repeat(count);
        check_text("a/src/x.rs", &structs(801), &["file-lines"]);
        check_text("a/src/x.rs", &structs(800), &[]);
        check_text("a/src/x.rs", &format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", structs(790), structs(100)), &[]);
        check_text("a/src/x/tests.rs", &structs(900), &[]);
        check_text("a/src/x.rs", &format!("// @generated\n{}", structs(900)), &[]);
    }

    #[test]
    fn a_file_longer_than_wanted_is_noted() {
        let note = |lines: usize| wanted(&Source::parse("a/src/x.rs", &"struct S;\n".repeat(lines)).unwrap());
        assert!(note(401).is_some());
        assert_eq!(note(400), None);
    }

    #[test]
    fn many_inline_tests_fire() {
        check_text("a/src/x.rs", &format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "struct S;\n".repeat(200)), &["inline-tests"]);
    }

    #[test]
    fn a_long_function_fires() {
        check_text("a/src/x.rs", &long_function(71), &["function-lines"]);
        check_text("a/src/x.rs", &long_function(70), &[]);
        check_text("a/src/x.rs", &format!("struct S;\nimpl S {{\n{}}}\n", long_function(71)), &["function-lines"]);
        check_text("a/tests/it/main.rs", &long_function(71), &[]);
    }

    #[test]
    fn many_parameters_fire_once_where_they_are_decided() {
        let six = "a: u8, b: u8, c: u8, d: u8, e: u8, f: u8";
        check_text("a/src/x.rs", &format!("fn f({six}) {{}}"), &["parameters"]);
        check_text("a/src/x.rs", &format!("trait T {{ fn f({six}); }}\nimpl T for u8 {{ fn f({six}) {{}} }}"), &["parameters"]);
        check_text("a/src/x.rs", "fn f(a: u8, b: u8, c: u8, d: u8, e: u8) {}", &[]);
    }

    #[test]
    fn a_long_architecture_fires() {
        assert!(check_document(("ARCHITECTURE.md", &"x\n".repeat(301))).is_some());
        assert!(check_document(("ARCHITECTURE.md", &"x\n".repeat(300))).is_none());
    }
}
