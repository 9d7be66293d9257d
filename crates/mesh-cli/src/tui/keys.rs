//! The keys, as the help shows them. What they do is in `app`.

/// Key and meaning.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("j k", "next, previous (also ↓ ↑)"),
    ("space b", "some further, back"),
    ("g G", "first, last"),
    ("Enter", "open; in a thread fold, unfold"),
    ("l r", "like, repost"),
    ("p", "vote in a poll"),
    ("c", "comment in a line"),
    ("C", "comment in $EDITOR"),
    ("u", "undo like, repost, vote, own record"),
    ("o", "open link or page"),
    ("v", "who signed it, and its proof"),
    ("/", "filter by words or people"),
    ("R", "read anew"),
    ("q Esc", "back, end"),
    ("Ctrl-C", "end"),
];

/// The most important ones, for the last line.
pub(super) const HINT: &str = "? keys · Enter open · l like · c comment · q back";
