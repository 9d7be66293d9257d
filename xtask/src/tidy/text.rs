//! Words that no tracked file may hold: paths of one person's machine, and hosts of package registries.
//!
//! Lock files name their registry, and may. The words are put together here, so that this file passes its own rule.

use super::Finding;
use super::tree::line_at;

const LOCK_FILES: &[&str] = &["Cargo.lock", "package-lock.json"];
/// Folders at the start of a path that exist on one machine only.
const MACHINE_FOLDERS: &[&str] = &[concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];
/// The folder of people's own folders: what matters is that a name follows.
const HOMES: &str = concat!("/ho", "me/");
const REGISTRY_HOSTS: &[&str] = &[
    concat!("crates", ".io"),
    concat!("registry.npm", "js.org"),
    concat!("registry.yarn", "pkg.com"),
    concat!("py", "pi.org"),
    concat!("python", "hosted.org"),
    concat!("deb.deb", "ian.org"),
    concat!("security.deb", "ian.org"),
    concat!("proxy.go", "lang.org"),
];

/// Checks one text.
pub(super) fn check((path, text): (&str, &str)) -> Vec<Finding> {
    let name = path.rsplit('/').next().unwrap_or(path);
    if LOCK_FILES.contains(&name) {
        return Vec::new();
    }
    let machine = MACHINE_FOLDERS.iter().flat_map(|folder| text.match_indices(folder).filter(|(at, _)| starts_path(text, *at)));
    let homes = text.match_indices(HOMES).filter(|(at, word)| starts_path(text, *at) && names_someone(&text[at + word.len()..]));
    let hosts = REGISTRY_HOSTS.iter().flat_map(|host| text.match_indices(host).filter(|(at, host)| ends_host(&text[at + host.len()..])));
    let paths =
        machine.chain(homes).map(|(at, word)| (at, "machine-path", format!("`{word}…` is a path of one machine: make it relative")));
    let hosts =
        hosts.map(|(at, host)| (at, "registry-host", format!("`{host}` is a registry's host: name the package, not where it comes from")));
    paths.chain(hosts).map(|(at, rule, message)| Finding::new(rule, path, line_at(text, at), message)).collect()
}

/// A path starts here: nothing before it belongs to a longer path or to a URL.
fn starts_path(text: &str, at: usize) -> bool {
    !text[..at].ends_with(|c: char| c.is_alphanumeric() || "._-}/~".contains(c))
}

/// A folder's name follows, and something in it.
fn names_someone(rest: &str) -> bool {
    rest.find(|c: char| !(c.is_alphanumeric() || "._-".contains(c))).is_some_and(|end| end > 0 && rest[end..].starts_with('/'))
}

fn ends_host(rest: &str) -> bool {
    !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(text: &str, expected: &[(&str, usize)]) {
        let findings = check(("docs/a.md", text));
        assert_eq!(findings.iter().map(|finding| (finding.rule, finding.line)).collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn paths_of_one_machine_fire() {
        for folder in MACHINE_FOLDERS {
            check_text(&format!("first\nsee `{folder}x`"), &[("machine-path", 2)]);
        }
        check_text(&format!("see {HOMES}ada/mesh"), &[("machine-path", 1)]);
    }

    #[test]
    fn paths_of_every_machine_and_of_urls_do_not_fire() {
        check_text(&format!("https://example.org{HOMES}ada/ and {HOMES}{{user}}/ and target{}", MACHINE_FOLDERS[1]), &[]);
    }

    #[test]
    fn hosts_of_registries_fire() {
        for host in REGISTRY_HOSTS {
            check_text(&format!("from https://{host}/x"), &[("registry-host", 1)]);
        }
    }

    #[test]
    fn lock_files_may_name_their_registry() {
        assert!(check(("Cargo.lock", REGISTRY_HOSTS[0])).is_empty());
    }
}
