//! Who may depend on whom: the levels of ARCHITECTURE.md, checked against the manifests and, where a manifest cannot
//! tell (handlers call mesh-node only, mesh-proto has no clock), against the sources.

use super::Finding;
use super::source::{Source, Token};
use crate::workspace::{Dependency, Workspace};
use std::collections::BTreeSet;

const L1: &[&str] =
    &["mesh-store", "mesh-search", "mesh-fingerprint", "mesh-media", "mesh-torrent", "mesh-messenger", "mesh-drive", "mesh-import"];
/// What only clients may know: no server ever links these.
const CLIENT_ONLY: &[&str] = &["mesh-messenger", "mesh-drive", "mesh-import"];
/// Crates of others that do I/O, tell the time or make randomness: mesh-proto has ports for those.
const IMPURE: &[&str] = &["tokio", "reqwest", "hyper", "getrandom", "rand", "fjall", "object_store", "socket2", "mio"];
/// Crates of others that speak HTTP: mesh-node has no HTTP.
const HTTP: &[&str] = &["axum", "hyper", "reqwest", "tower-http"];
/// Store engines: a client never links them.
const ENGINES: &[&str] = &["fjall", "object_store", "sqlx", "tokio-postgres", "rusqlite"];

/// What one member may depend on, and what it must never reach.
struct Rule {
    name: &'static str,
    /// Members that it may name; `None` for those that may name all.
    may: Option<&'static [&'static str]>,
    /// Members that it must not reach, directly or through others.
    never: &'static [&'static str],
    /// Crates of others that it must not name.
    never_external: &'static [&'static str],
}

const fn rule(
    name: &'static str,
    may: &'static [&'static str],
    never: &'static [&'static str],
    never_external: &'static [&'static str],
) -> Rule {
    Rule { name, may: Some(may), never, never_external }
}

const fn sees_all(name: &'static str) -> Rule {
    Rule { name, may: None, never: &[], never_external: &[] }
}

/// The members that are not of level 1; those are all alike.
const RULES: &[Rule] = &[
    rule("mesh-proto", &[], &[], IMPURE),
    rule("mesh-node", &["mesh-proto", "mesh-store", "mesh-search", "mesh-fingerprint", "mesh-media", "mesh-torrent"], CLIENT_ONLY, HTTP),
    rule(
        "mesh-client",
        &["mesh-proto", "mesh-fingerprint", "mesh-media", "mesh-torrent", "mesh-messenger", "mesh-drive"],
        &["mesh-store", "mesh-node", "mesh-server", "mesh-cli"],
        ENGINES,
    ),
    rule(
        "mesh-server",
        &["mesh-proto", "mesh-store", "mesh-search", "mesh-fingerprint", "mesh-media", "mesh-torrent", "mesh-node"],
        &["mesh-messenger", "mesh-drive", "mesh-import", "mesh-client", "mesh-cli"],
        &[],
    ),
    rule(
        "mesh-cli",
        &["mesh-proto", "mesh-client", "mesh-import", "mesh-torrent", "mesh-messenger", "mesh-drive"],
        &["mesh-store", "mesh-node", "mesh-server"],
        ENGINES,
    ),
    rule("mesh-testkit", &["mesh-proto"], &[], &[]),
    rule("xtask", &[], &[], &[]),
    sees_all("mesh-tests"),
    sees_all("mesh-bench"),
];

/// Checks the ordinary, build and dev dependencies of every member.
pub(super) fn check_members(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    let members: BTreeSet<&str> = workspace.packages.iter().map(|package| package.name.as_str()).collect();
    for package in &workspace.packages {
        let path = format!("{} (Cargo.toml)", package.name);
        let Some(rule) = rule_of(&package.name) else {
            findings.push(Finding::new(
                "layers",
                &path,
                0,
                "this crate has no level yet: give it one in xtask/src/tidy/layers.rs and ARCHITECTURE.md",
            ));
            continue;
        };
        for dependency in &package.dependencies {
            if let Some(message) = refusal(&package.name, rule, dependency, &members) {
                findings.push(Finding::new("layers", &path, 0, message));
            }
        }
        for reached in reach(workspace, &package.name) {
            if rule.never.contains(&reached) {
                findings.push(Finding::new(
                    "layers",
                    &path,
                    0,
                    format!("links {reached}, directly or through another crate, and must never"),
                ));
            }
        }
    }
    findings
}

fn rule_of(name: &str) -> Option<&'static Rule> {
    const LEVEL_1: Rule = rule("level 1", &["mesh-proto"], &[], &[]);
    if L1.contains(&name) {
        return Some(&LEVEL_1);
    }
    RULES.iter().find(|rule| rule.name == name)
}

fn refusal(name: &str, rule: &Rule, dependency: &Dependency, members: &BTreeSet<&str>) -> Option<String> {
    let used = dependency.name.as_str();
    let dev = dependency.kind.as_deref() == Some("dev");
    if !members.contains(used) {
        return (!dev && rule.never_external.contains(&used)).then(|| format!("uses {used}; {name} never does"));
    }
    let may = rule.may?;
    // The testkit sees mesh-proto: were mesh-proto to use it, its tests would link mesh-proto twice.
    let for_tests = dev && used == "mesh-testkit" && name != "mesh-proto" && name != "mesh-testkit";
    // A crate's own tests may ask for its features.
    let own = dev && used == name;
    (!may.contains(&used) && !for_tests && !own).then(|| format!("may not depend on {used}; it may depend on: {}", list(may)))
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "no crate of this workspace".to_owned() } else { names.join(", ") }
}

/// Members that a member links, directly or through others; dev-dependencies are not linked into anything.
fn reach<'a>(workspace: &'a Workspace, name: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![name];
    while let Some(name) = open.pop() {
        let Some(package) = workspace.packages.iter().find(|package| package.name == name) else {
            continue;
        };
        for used in package.dependencies.iter().filter(|used| used.kind.as_deref() != Some("dev")) {
            if workspace.packages.iter().any(|member| member.name == used.name) && reached.insert(used.name.as_str()) {
                open.push(&used.name);
            }
        }
    }
    reached
}

/// What manifests cannot tell: handlers that reach past mesh-node, and a core that is not pure.
pub(super) fn check_source(source: &Source) -> Vec<Finding> {
    let tokens = source.tokens.iter().enumerate().filter(|(_, token)| !source.is_test_line(token.line));
    if let Some(inside) = source.path.strip_prefix("crates/mesh-server/src/") {
        if inside == "main.rs" || inside == "config.rs" || inside.starts_with("config/") {
            return Vec::new();
        }
        let below: Vec<String> = L1.iter().map(|name| name.replace('-', "_")).collect();
        return tokens
            .filter(|(_, token)| below.contains(&token.text))
            .map(|(_, token)| {
                Finding::new(
                    "handlers",
                    &source.path,
                    token.line,
                    format!("uses {}: only main and config build those; handlers call mesh-node", token.text),
                )
            })
            .collect();
    }
    if source.path.starts_with("crates/mesh-proto/src/") {
        return tokens
            .filter_map(|(index, token)| impure(&source.tokens, index).map(|what| (token.line, what)))
            .map(|(line, what)| {
                Finding::new(
                    "pure",
                    &source.path,
                    line,
                    format!("{what}: mesh-proto has no I/O, clock or randomness of its own; use a port"),
                )
            })
            .collect();
    }
    Vec::new()
}

fn impure(tokens: &[Token], index: usize) -> Option<String> {
    let text = |back: usize| index.checked_sub(back).map_or("", |at| tokens[at].text.as_str());
    match text(0) {
        name @ ("SystemTime" | "TcpStream" | "TcpListener" | "UdpSocket" | "OsRng") => Some(name.to_owned()),
        "Instant" if text(1) == ":" && text(3) == "time" => Some("std::time::Instant".to_owned()),
        name @ ("fs" | "thread" | "process" | "env") if text(1) == ":" && text(3) == "std" => Some(format!("std::{name}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(edges: &[(&str, &str, &str)]) -> Workspace {
        let names: BTreeSet<&str> =
            edges.iter().flat_map(|(from, _, to)| [*from, *to]).filter(|name| name.starts_with("mesh-") || *name == "xtask").collect();
        let packages: Vec<_> = names
            .iter()
            .map(|name| {
                let uses: Vec<_> = edges
                    .iter()
                    .filter(|(from, ..)| from == name)
                    .map(|(_, kind, to)| serde_json::json!({"name": to, "kind": (!kind.is_empty()).then_some(kind)}))
                    .collect();
                serde_json::json!({"name": name, "manifest_path": format!("{name}/Cargo.toml"), "dependencies": uses})
            })
            .collect();
        serde_json::from_value(serde_json::json!({"packages": packages, "target_directory": "t"})).unwrap()
    }

    fn check(edges: &[(&str, &str, &str)], fires: bool) {
        let findings = check_members(&workspace(edges));
        assert_eq!(!findings.is_empty(), fires, "{edges:?}: {findings:?}");
    }

    #[test]
    fn levels_as_designed_are_accepted() {
        check(
            &[
                ("mesh-store", "", "mesh-proto"),
                ("mesh-node", "", "mesh-store"),
                ("mesh-server", "", "mesh-node"),
                ("mesh-cli", "", "mesh-client"),
                ("mesh-client", "", "mesh-proto"),
                ("mesh-node", "dev", "mesh-testkit"),
                ("mesh-tests", "", "mesh-server"),
                ("mesh-server", "", "mesh-store"),
                ("mesh-store", "dev", "mesh-store"),
            ],
            false,
        );
    }

    #[test]
    fn each_forbidden_dependency_fires() {
        for edge in [
            ("mesh-proto", "", "mesh-store"),
            ("mesh-proto", "dev", "mesh-testkit"),
            ("mesh-store", "", "mesh-search"),
            ("mesh-store", "", "mesh-node"),
            ("mesh-node", "", "mesh-messenger"),
            ("mesh-node", "", "mesh-drive"),
            ("mesh-node", "", "mesh-server"),
            ("mesh-node", "", "mesh-testkit"),
            ("mesh-client", "", "mesh-node"),
            ("mesh-client", "", "mesh-store"),
            ("mesh-server", "", "mesh-client"),
            ("mesh-server", "", "mesh-drive"),
            ("mesh-cli", "", "mesh-server"),
            ("mesh-testkit", "", "mesh-node"),
            ("xtask", "", "mesh-proto"),
            ("mesh-proto", "", "getrandom"),
            ("mesh-node", "", "axum"),
            ("mesh-client", "", "fjall"),
        ] {
            check(&[edge], true);
        }
    }

    #[test]
    fn what_a_server_must_not_hold_is_found_through_others() {
        check(&[("mesh-server", "", "mesh-node"), ("mesh-node", "", "mesh-torrent"), ("mesh-torrent", "", "mesh-drive")], true);
    }

    #[test]
    fn a_crate_without_a_level_fires() {
        check(&[("mesh-surprise", "", "mesh-proto")], true);
    }

    fn source(path: &str, text: &str) -> Vec<Finding> {
        check_source(&Source::parse(path, text).unwrap())
    }

    #[test]
    fn a_handler_that_reaches_past_the_node_fires() {
        let text = "//! x\nuse mesh_store::Kv;\n";
        assert_eq!(source("crates/mesh-server/src/api/like.rs", text).len(), 1);
        assert!(source("crates/mesh-server/src/config.rs", text).is_empty());
        assert!(source("crates/mesh-server/src/api/tests.rs", text).is_empty());
    }

    #[test]
    fn a_clock_in_the_core_fires() {
        let path = "crates/mesh-proto/src/keylog.rs";
        assert_eq!(source(path, "//! x\nfn now() { std::time::SystemTime::now(); }\n").len(), 1);
        assert_eq!(source(path, "//! x\nfn read() { std::fs::read(\"x\"); }\n").len(), 1);
        assert!(source(path, "//! std::fs is not used\nfn fs() {}\n").is_empty());
    }
}
