//! Fifty domains, a bad network, half a simulated day: see `tests/simulation`, and docs/simulation.md for how to repeat a seed.
//!
//! The last tests break something on purpose: a checker that sees nothing would pass all the others.

use mesh_tests::{Report, Sabotage, Scale, run, run_with};

/// The first seed; `MESH_SEED` asks for others.
const FIRST: u64 = 1;
/// Seeds of each test: four tests run side by side.
const SEEDS: u64 = 5;

fn check(part: u64) {
    let first = mesh_testkit::seed(FIRST) + part * SEEDS;
    for seed in first..first + SEEDS {
        let report = run(seed, &Scale::default());
        eprintln!("seed {seed}: {:?} simulated, {:?}", report.simulated, report.seen);
        assert_eq!(report.violations, Vec::<String>::new(), "repeat with MESH_SEED={seed}");
        let seen = report.seen;
        let enough = seen.accepted > 100 && seen.objects > 30 && seen.statements > 20 && seen.timelines > 3 && seen.key_logs > 10;
        assert!(enough && seen.verified > 100 && seen.feeds > 30 && seen.own_texts > 50, "seed {seed}: hardly anything happened: {seen:?}");
    }
}

#[test]
fn honest_domains_agree_whatever_the_network_does_part_1() {
    check(0);
}

#[test]
fn honest_domains_agree_whatever_the_network_does_part_2() {
    check(1);
}

#[test]
fn honest_domains_agree_whatever_the_network_does_part_3() {
    check(2);
}

#[test]
fn honest_domains_agree_whatever_the_network_does_part_4() {
    check(3);
}

/// A run in which only one thing is wrong.
fn sabotaged(sabotage: Sabotage) -> Report {
    let scale = Scale { domains: 12, hostile: 0, hours: 4, acts: 150, forgeries: 0, cuts: 1, ..Scale::default() };
    let whole = run(mesh_testkit::seed(FIRST), &scale);
    assert_eq!(whole.violations, Vec::<String>::new(), "without sabotage");
    run_with(mesh_testkit::seed(FIRST), &scale, Some(sabotage))
}

#[track_caller]
fn only(report: &Report, words: &str) {
    assert!(!report.violations.is_empty(), "the checker does not see it: {:?}", report.seen);
    assert!(report.violations.iter().all(|violation| violation.contains(words)), "{:?}", report.violations);
}

#[test]
fn likes_that_never_arrive_are_seen() {
    only(&sabotaged(Sabotage::LikesAreKept), "like on");
}

#[test]
fn foreign_text_outside_the_cache_is_seen() {
    only(&sabotaged(Sabotage::ForeignText), "holds in meta a text of foreign people");
}

#[test]
fn counter_that_differs_from_its_set_is_seen() {
    only(&sabotaged(Sabotage::CounterIsWrong), "counts");
}

#[test]
fn words_that_nobody_signed_are_seen() {
    let report = sabotaged(Sabotage::WordsAreChanged);
    assert!(report.violations.iter().any(|violation| violation.contains("unverified")), "{:?}", report.violations);
}

/// A run in which people move, name mirrors and change keys, and in which one thing is wrong.
fn sabotaged_moves(sabotage: Sabotage) -> Report {
    let scale = Scale { domains: 12, hostile: 0, hours: 6, acts: 400, forgeries: 0, cuts: 1, ..Scale::default() };
    let whole = run(mesh_testkit::seed(FIRST), &scale);
    assert_eq!(whole.violations, Vec::<String>::new(), "without sabotage");
    assert!(whole.seen.moved > 0 && whole.seen.answered > 0 && whole.seen.mirrored > 0, "hardly anything happened: {:?}", whole.seen);
    run_with(mesh_testkit::seed(FIRST), &scale, Some(sabotage))
}

#[track_caller]
fn some(report: &Report, words: &str) {
    assert!(report.violations.iter().any(|violation| violation.contains(words)), "{words}: {:?}", report.violations);
}

#[test]
fn old_home_that_forgets_a_move_is_seen() {
    some(&sabotaged_moves(Sabotage::MoveIsForgotten), "which this domain sees otherwise");
}

#[test]
fn key_operation_that_was_announced_and_is_not_known_is_seen() {
    some(&sabotaged_moves(Sabotage::KeyOperationIsForgotten), "was to be told of the key operation");
}

#[test]
fn mirror_that_lost_its_copies_is_seen() {
    some(&sabotaged_moves(Sabotage::CopyIsLost), "is to be kept: true");
}

#[test]
fn copy_that_nobody_asked_for_is_seen() {
    only(&sabotaged_moves(Sabotage::CopyIsUnwanted), "holds in payload a text of foreign people");
}

#[test]
fn restored_domain_without_a_new_log_is_seen() {
    some(&sabotaged_moves(Sabotage::NewLogIsForgotten), "its new log does not begin with");
}
