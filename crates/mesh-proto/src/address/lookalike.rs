//! Which names a hurried eye takes for one another.

/// The skeleton of a name: two names whose skeletons are equal look alike and are flagged. Never shown, stored or signed.
///
/// Lower-cases, takes the skeleton of UTS #39 §4 (which already maps `0` to `o`, `1` to `l`, `m` to `rn` and Cyrillic `а` to
/// Latin `a`), then adds what that leaves apart in small print: `i` is `l`, `w` is `vv`, `d` is `cl`, and `.`, `_`, `-` are one sign. For a
/// domain pass [`super::Domain::to_human`]; A-labels hide what they look like.
#[must_use]
pub fn lookalike(name: &str) -> String {
    let lower = name.to_lowercase();
    let mut skeleton = String::with_capacity(lower.len() + 8);
    for c in unicode_security::skeleton(&lower).flat_map(char::to_lowercase) {
        match c {
            '0' => skeleton.push('o'),
            '1' | 'i' | 'ı' => skeleton.push('l'),
            'm' => skeleton.push_str("rn"),
            'w' => skeleton.push_str("vv"),
            'd' => skeleton.push_str("cl"),
            '.' | '_' => skeleton.push('-'),
            other => skeleton.push(other),
        }
    }
    skeleton
}
