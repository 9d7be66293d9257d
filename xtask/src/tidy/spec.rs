//! Every record kind of mesh-proto has its page in `spec/`.

use super::Finding;

const KINDS: &str = "crates/mesh-proto/src/record/";

/// Each file directly in mesh-proto's folder of records is a kind (their tests and their parser apart) and needs `spec/<kind>.md`.
pub(super) fn check(paths: &[&str]) -> Vec<Finding> {
    let kinds = paths
        .iter()
        .filter_map(|path| path.strip_prefix(KINDS)?.strip_suffix(".rs"))
        .filter(|kind| !kind.contains('/') && !["tests", "parse"].contains(kind));
    kinds
        .filter_map(|kind| {
            let page = format!("spec/{}.md", kind.replace('_', "-"));
            (!paths.contains(&page.as_str()))
                .then(|| Finding::new("spec-page", &format!("{KINDS}{kind}.rs"), 0, format!("this record kind has no page: write {page}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_without_a_page_fires() {
        let kinds = [
            "crates/mesh-proto/src/record/like.rs",
            "crates/mesh-proto/src/record/post.rs",
            "crates/mesh-proto/src/record/tests.rs",
            "spec/post.md",
        ];
        let findings = check(&kinds);
        assert_eq!(findings.iter().map(|finding| finding.path.as_str()).collect::<Vec<_>>(), ["crates/mesh-proto/src/record/like.rs"]);
    }
}
