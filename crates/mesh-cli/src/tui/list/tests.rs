//! Moving through a list of verified records, drawn at a given size.

use super::*;
use crate::tui::item::Colours;
use mesh_client::reader::{Shown, State};
use mesh_proto::api::{Card, RecordView};
use mesh_proto::envelope::Kind;
use mesh_proto::key::AccountId;
use mesh_proto::keylog::LogPosition;

fn item(id: u8, depth: usize) -> Item {
    let address: mesh_proto::address::Address = format!("p{id}@one.localhost:8001").parse().expect("an address");
    let card = Card {
        id: RecordId::from_hash([id; 32]),
        kind: Kind::Post,
        actor: AccountId::from_hash([1; 32]),
        address: address.clone(),
        leaf: LogPosition { origin: "one.localhost:8001/log/1".parse().expect("an origin"), index: 0 },
        received: 0,
        parent: None,
        disowned: false,
    };
    let view = RecordView { card, record: None, tombstone: None, counts: Default::default(), poll: None, url: String::new() };
    Item { depth, ..Item::new(Shown { view, author: address, state: State::Withdrawn, own_vote: None }) }
}

/// Each item is three lines high: who, `[withdrawn]`, and a gap.
fn list(depths: &[usize]) -> List {
    List::new(depths.iter().enumerate().map(|(id, depth)| item(u8::try_from(id).expect("few"), *depth)).collect())
}

fn look(list: &mut List, height: usize) -> Vec<String> {
    let layout = Layout { width: 60, body_lines_max: 9, hidden: 0, colours: Colours::Unwanted, now_ms: 0 };
    let rows = list.rows(height, layout);
    assert!(rows.len() <= height && (list.items.is_empty() || rows.iter().any(|row| row.is_selected)), "the selected item is seen");
    rows.iter()
        .map(|row| row.line.to_string())
        .filter(|line| line.contains('@'))
        .map(|line| line.trim_start_matches([' ', '-']).chars().take(2).collect())
        .collect()
}

#[test]
fn the_selected_item_is_always_on_the_screen() {
    let mut list = list(&[0; 50]);
    for height in [1, 2, 3, 7, 24] {
        for step in [Step::Last, Step::Up, Step::PageUp, Step::First, Step::Down, Step::PageDown, Step::Down] {
            for _ in 0..9 {
                look(&mut list, height);
                list.step(step);
            }
        }
    }
    list.step(Step::Last);
    look(&mut list, 9);
    assert_eq!(list.selected().map(Item::id), Some(RecordId::from_hash([49; 32])));
}

#[test]
fn folding_hides_answers_and_filtering_finds_them_again() {
    let mut list = list(&[0, 1, 2, 1]);
    list.step(Step::Down);
    list.toggle_fold();
    assert_eq!(look(&mut list, 30), ["p0", "p1", "p3"]);
    list.filter("P2@");
    assert_eq!(look(&mut list, 30), ["p2"]);
    list.filter("");
    assert_eq!(look(&mut list, 30), ["p0", "p1", "p3"]);
    list.step(Step::First);
    list.step(Step::Down);
    list.toggle_fold();
    assert_eq!(look(&mut list, 30), ["p0", "p1", "p2", "p3"]);
}

#[test]
fn new_items_are_seen_at_the_start_and_disturb_nobody_further_down() {
    let mut list = list(&[0; 20]);
    look(&mut list, 9);
    list.push_front(item(100, 0));
    assert_eq!(look(&mut list, 9), ["p1", "p0", "p1"]);
    assert_eq!(list.selected().map(Item::id), Some(RecordId::from_hash([0; 32])));
    list.step(Step::Last);
    let before = look(&mut list, 9);
    list.push_front(item(101, 0));
    assert_eq!(look(&mut list, 9), before);
}

#[test]
fn an_empty_list_can_be_moved_through() {
    let mut list = list(&[]);
    for step in [Step::Up, Step::Down, Step::PageDown, Step::Last, Step::First] {
        list.step(step);
        assert!(look(&mut list, 9).is_empty() && list.selected().is_none());
    }
    list.toggle_fold();
}
