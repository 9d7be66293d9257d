use super::*;
use mesh_proto::api::{Card, Counts};
use mesh_proto::envelope::Envelope;
use mesh_proto::record::{Comment, Post, Terms};
use mesh_testkit::{TestAccount, TestLog};

fn view(account: &TestAccount, envelope: Envelope) -> RecordView {
    let mut log = TestLog::new("one.localhost:8001/log/1", 9);
    let logged = log.accept(account, envelope);
    let parent = match Record::open(&logged.envelope).expect("a record").content {
        Content::Comment(comment) => Some(comment.parent.id),
        _ => None,
    };
    let card = Card {
        id: logged.envelope.id(),
        kind: logged.envelope.kind(),
        actor: account.id(),
        address: account.address(),
        leaf: logged.leaf.clone(),
        received: logged.opening.received,
        parent,
        disowned: false,
    };
    RecordView { card, record: Some(logged), tombstone: None, counts: Counts::new(), poll: None, url: String::new() }
}

fn neo() -> TestAccount {
    TestAccount::new("neo@one.localhost:8001", 1)
}

fn judge(view: &RecordView, keys: &TestAccount) -> Result<State, Mistrust> {
    verdict(view, Some(Ok(Arc::new(keys.keys.clone()))))
}

fn check_refused(change: impl FnOnce(&mut RecordView), expected: &str) {
    let neo = neo();
    let mut view = view(&neo, neo.sign(Content::Post(Post::free("hello"))));
    assert!(matches!(judge(&view, &neo), Ok(State::Good(_))));
    change(&mut view);
    match judge(&view, &neo) {
        Err(Mistrust::NotAsSigned { what, .. }) => assert_eq!(what, expected),
        other => panic!("{other:?}"),
    }
}

#[test]
fn card_that_says_something_else_than_was_signed_is_refused() {
    check_refused(|view| view.card.id = RecordId::from_hash([1; 32]), "the card is of another record");
    check_refused(|view| view.card.kind = Kind::Comment, "the card says another kind");
}

#[test]
fn comment_under_another_parent_than_was_signed_is_refused() {
    let neo = neo();
    let post = neo.sign(Content::Post(Post::free("hello")));
    let object = neo.object(&post);
    let content = Comment { root: object.clone(), parent: object, text: "hi".to_owned(), lang: None, terms: Terms::Free, revises: None };
    let mut view = view(&neo, neo.sign(Content::Comment(content)));
    assert!(matches!(judge(&view, &neo), Ok(State::Good(_))));
    view.card.parent = Some(RecordId::from_hash([7; 32]));
    assert!(matches!(judge(&view, &neo), Err(Mistrust::NotAsSigned { .. })));
}

#[test]
fn record_shown_as_someone_elses_is_refused() {
    let (neo, eve) = (neo(), TestAccount::new("eve@one.localhost:8001", 2));
    let mut view = view(&neo, neo.sign(Content::Post(Post::free("hello"))));
    view.card.actor = eve.id();
    assert!(judge(&view, &eve).is_err());
}

#[test]
fn record_without_a_key_log_is_refused_and_a_card_alone_is_absent() {
    let neo = neo();
    let mut view = view(&neo, neo.sign(Content::Post(Post::free("hello"))));
    assert!(verdict(&view, None).is_err());
    view.record = None;
    assert_eq!(verdict(&view, None), Ok(State::Absent));
}
