//! What is seen when, and what survives what.

use crate::{Bed, document, open, search};
use mesh_search::{Rebuild, Sort};
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn what_is_put_is_found_before_any_commit_and_after() {
    let bed = Bed::new();
    bed.put(&document(1, "a brand new spoon"));
    assert_eq!(bed.find("spoon"), [1]);
    assert_eq!(bed.find("\"new spoon\""), [1]);
    bed.flush();
    assert_eq!(bed.find("spoon"), [1]);
    assert_eq!(bed.opened.index.documents(), 1);
}

#[test]
fn what_is_removed_or_replaced_is_gone_at_once_and_stays_gone() {
    let bed = Bed::with(&["a spoon", "a fork", "a knife"]);
    bed.opened.writer.remove(0).expect("removed");
    bed.put(&document(1, "a plate"));
    bed.put(&document(7, "a spoon for a moment"));
    bed.opened.writer.remove(7).expect("removed");
    for _ in 0..3 {
        assert!(bed.find("spoon").is_empty());
        assert!(bed.find("fork").is_empty());
        assert_eq!(bed.find("plate"), [1]);
        assert_eq!(bed.find("knife"), [2]);
        bed.flush();
    }
    bed.put(&document(0, "a spoon again"));
    assert_eq!(bed.find("spoon"), [0]);
    bed.flush();
    assert_eq!(bed.find("spoon"), [0]);
}

#[test]
fn after_a_crash_the_index_says_from_where_to_feed_and_double_feeding_does_no_harm() {
    let bed = Bed::with(&["one spoon", "two spoons"]);
    bed.opened.writer.reached(2).expect("told");
    bed.flush();
    bed.put(&document(2, "three spoons"));
    let Bed { folder, opened } = bed;
    // Dropped without a commit: what a kill leaves.
    drop(opened);
    let opened = open(folder.path());
    assert_eq!((opened.upto, opened.rebuild), (2, None));
    let bed = Bed { folder, opened };
    assert_eq!(bed.find("spoon").len(), 2);
    for (no, text) in [(1, "two spoons"), (2, "three spoons")] {
        bed.put(&document(no, text));
    }
    for _ in 0..2 {
        let mut found = bed.find("spoon");
        found.sort_unstable();
        assert_eq!(found, [0, 1, 2]);
        bed.flush();
    }
}

/// Files of the folder that counts.
fn files(root: &Path) -> Vec<PathBuf> {
    let name = fs::read_to_string(root.join("current")).expect("the pointer");
    let mut files: Vec<PathBuf> = fs::read_dir(root.join(name)).expect("a folder").map(|file| file.expect("a file").path()).collect();
    files.retain(|file| !file.to_string_lossy().ends_with(".lock"));
    files.sort();
    files
}

/// An index of two segments that was closed, in its folder.
fn closed() -> tempfile::TempDir {
    let bed = Bed::with(&["a first spoon", "a first fork"]);
    bed.put(&document(2, "a second spoon"));
    bed.opened.writer.reached(3).expect("told");
    bed.flush();
    let Bed { folder, opened } = bed;
    drop(opened);
    folder
}

#[test]
fn every_damaged_file_is_noticed_and_the_index_is_built_anew_while_searches_go_on() {
    let count = files(closed().path()).len();
    assert!(count > 8);
    for at in 0..count {
        for harm in ["flip", "cut", "remove"] {
            let folder = closed();
            let file = files(folder.path())[at].clone();
            let name = file.file_name().expect("a name").to_string_lossy().into_owned();
            if harm == "flip" && name.ends_with(".json") {
                // Lists have no checksum: one is noticed when it cannot be read.
                continue;
            }
            let bytes = fs::read(&file).expect("bytes");
            match harm {
                "flip" => {
                    let mut bytes = bytes.clone();
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 0x10;
                    fs::write(&file, bytes).expect("written");
                }
                "cut" => fs::write(&file, &bytes[..bytes.len() / 3]).expect("written"),
                _ => fs::remove_file(&file).expect("removed"),
            }
            let opened = open(folder.path());
            let bed = Bed { folder, opened };
            if bed.opened.rebuild.is_none() {
                // The list of what may be swept is no part of the index: without it nothing is lost.
                assert!(name.starts_with(".managed"), "{harm} of {name} was not noticed");
                continue;
            }
            assert_eq!(bed.opened.rebuild, Some(Rebuild::Damaged), "{harm} {name}");
            assert_eq!(bed.opened.upto, 0);
            search(&bed.opened.index, "spoon", Sort::Best);
            bed.opened.writer.remove(0).expect("removed");
            assert!(!bed.find("spoon").contains(&0), "{harm} {name}");
            for (no, text) in [(1, "a first fork"), (2, "a second spoon")] {
                bed.put(&document(no, text));
            }
            bed.opened.writer.reached(3).expect("told");
            assert_eq!(bed.find("spoon"), [2]);
            bed.opened.writer.rebuilt().expect("rebuilt");
            assert_eq!(bed.find("spoon"), [2], "{harm} {name}");
            let Bed { folder, opened } = bed;
            drop(opened);
            let again = open(folder.path());
            assert_eq!((again.upto, again.rebuild), (3, None), "{harm} {name}");
            assert_eq!(again.index.documents(), 2);
        }
    }
}

#[test]
fn a_damaged_segment_leaves_the_others_to_search() {
    let folder = closed();
    let damaged = files(folder.path()).into_iter().find(|file| file.extension().is_some_and(|kind| kind == "term")).expect("a dictionary");
    fs::write(&damaged, b"nonsense").expect("written");
    let opened = open(folder.path());
    assert_eq!(opened.rebuild, Some(Rebuild::Damaged));
    assert!(!search(&opened.index, "spoon", Sort::Best).hits.is_empty());
}

#[test]
fn a_rebuild_that_was_interrupted_goes_on_where_it_was() {
    let folder = closed();
    let meta = files(folder.path()).into_iter().find(|file| file.ends_with("meta.json")).expect("the list");
    fs::write(&meta, b"{").expect("written");
    let opened = open(folder.path());
    assert_eq!((opened.upto, opened.rebuild), (0, Some(Rebuild::Damaged)));
    opened.writer.put(&document(0, "a first spoon")).expect("put");
    opened.writer.reached(1).expect("told");
    opened.writer.flush().expect("flush");
    drop(opened);
    let opened = open(folder.path());
    assert_eq!((opened.upto, opened.rebuild), (1, Some(Rebuild::Damaged)));
    assert_eq!(search(&opened.index, "spoon", Sort::Best).hits.len(), 1);
}

#[test]
fn an_index_of_another_analysis_is_searched_until_the_new_one_is_complete() {
    let folder = closed();
    let meta = files(folder.path()).into_iter().find(|file| file.ends_with("meta.json")).expect("the list");
    let text = fs::read_to_string(&meta).expect("text").replace("mesh-search 1", "mesh-search 0");
    fs::write(&meta, text).expect("written");
    let opened = open(folder.path());
    assert_eq!((opened.upto, opened.rebuild), (0, Some(Rebuild::OtherAnalyser)));
    let mut found: Vec<u64> = search(&opened.index, "spoon", Sort::Best).hits.iter().map(|hit| hit.no).collect();
    found.sort_unstable();
    assert_eq!(found, [0, 2]);
    opened.writer.put(&document(2, "a second spoon")).expect("put");
    let hits = search(&opened.index, "spoon", Sort::Best).hits;
    assert_eq!(hits.iter().filter(|hit| hit.no == 2).count(), 1);
}

#[test]
fn many_documents_are_taken_in_while_others_search() {
    let bed = Bed::new();
    std::thread::scope(|scope| {
        let searching = scope.spawn(|| {
            let mut most = 0;
            while most < 200 {
                let now = bed.opened.index.documents();
                assert!(now >= most, "documents vanished");
                most = now;
                bed.find("spoon");
            }
        });
        for no in 0..200 {
            bed.put(&document(no, "one of many spoons"));
            if no % 50 == 0 {
                bed.flush();
            }
        }
        searching.join().expect("searched");
    });
    assert_eq!(bed.find("spoon").len(), 20);
}
