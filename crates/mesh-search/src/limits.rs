//! The limits of search, each with its reason. None is part of the protocol: every server may have its own.

/// Bytes of a query. Longer than anyone types; 32 words of any script fit.
pub const QUERY_BYTES_MAX: usize = 4_096;
/// Words and phrase words of a query that are searched; the rest is left out, and the answer says so.
pub const QUERY_WORDS_MAX: usize = 32;
/// Filters of a query that count.
pub const QUERY_FILTERS_MAX: usize = 16;
/// Characters of an indexed word. Longer ones are keys, hashes and noise: they are not indexed.
pub const WORD_CHARS_MAX: usize = 64;
/// Words that are indexed of one text: the longest post has fewer.
pub const DOCUMENT_WORDS_MAX: usize = 20_000;
/// Tags that are indexed of one document.
pub const DOCUMENT_TAGS_MAX: usize = 64;
/// Characters that are looked at to tell a text's language: more tell no more.
pub const LANGUAGE_CHARS_MAX: usize = 600;
/// Terms that a single East Asian character stands for: it begins that many pairs at most.
pub const CHARACTER_PAIRS_MAX: usize = 32;
/// How many words of the index a mistyped word may stand for.
pub const CORRECTIONS_MAX: usize = 4;
/// Terms that are looked at in one segment to mend a mistyped word or to suggest one.
pub const TERMS_SCANNED_MAX: usize = 5_000;
/// The best documents by BM25 that are ranked again by recency and popularity; deeper pages rank four times as many.
pub const CANDIDATES: usize = 256;
/// How deep pages of ranked answers go.
pub const CANDIDATES_MAX: usize = 4_096;
/// Ranked answers below which a second, tolerant pass looks for more.
pub const FEW: usize = 10;
/// Hits in one page.
pub const PAGE_MAX: usize = 100;
/// Combinations of stems that are searched one by one, each with early termination; more are searched as one union.
pub const COMBINATIONS_MAX: usize = 4;
/// Documents in memory that no commit holds yet. Whoever writes more waits for the commit.
pub const TAIL_MAX: usize = 16_384;
/// How long changes wait for a commit, milliseconds. Searches see them at once nevertheless.
pub const COMMIT_EVERY_MS: u64 = 1_000;
/// What the writer may hold in memory, bytes.
pub const WRITER_BYTES: usize = 64 << 20;
/// How long a writer waits for room before it is told that the index cannot be written, seconds.
pub const STALLED_S: u64 = 30;
/// Bytes of a text of which a snippet is made.
pub const SNIPPET_TEXT_BYTES_MAX: usize = 65_536;
/// Characters of a snippet.
pub const SNIPPET_CHARS_MAX: usize = 1_000;
/// Marks that one character of a snippet may carry; more are towers that cover the lines above and below.
pub const SNIPPET_MARKS_MAX: usize = 4;
/// Suggestions in one answer.
pub const SUGGESTIONS_MAX: usize = 10;
/// Bytes of a cursor.
pub const CURSOR_BYTES_MAX: usize = 32_768;
