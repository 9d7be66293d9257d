//! Authority stays at home: what one domain's people say is nowhere in another's store, and what a closed account said is nowhere at all.

use crate::federation::{comment, like, post, retract, subscribe};
use crate::network::{Home, until};
use mesh_proto::api::{AccountView, Comments, FeedPage, KeysView, NotificationPage, Problem, RecordView};
use mesh_proto::bytes::Salt;
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::keylog::{Action, KeyLog, Status};
use mesh_proto::log::{Opening, name_id};
use mesh_proto::record::{Content, Post, Profile, Report, ReportReason, Repost};
use mesh_store::testing::{FaultFiles, Torn};
use mesh_store::{Config, FjallStore, KeyRange, Kv, Order, Read, Space};
use mesh_testkit::TestAccount;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A row: its key and its value.
type Row = (Vec<u8>, Vec<u8>);

/// Every row of every key space of a stopped server.
fn rows(folder: &Path) -> Vec<(Space, Row)> {
    let mut found = Vec::new();
    let store = FjallStore::open(folder.join("store"), Config::default()).expect("opens");
    for space in Space::ALL {
        let mut range = KeyRange::all();
        loop {
            let rows = store.scan(*space, &range, Order::Forward, 1_000).expect("reads");
            found.extend(rows.iter().map(|(key, value)| (*space, (key.to_vec(), value.to_vec()))));
            match rows.last() {
                Some((last, _)) => range = range.after(last),
                None => break,
            }
        }
    }
    store.close().expect("closes");
    found
}

/// Every row of every key space, searched for a text.
pub(crate) fn found_in_spaces(folder: &Path, text: &str) -> Vec<String> {
    let mut rows = rows(folder);
    rows.retain(|(_, (key, value))| contains(key, text) || contains(value, text));
    rows.iter().map(|(space, _)| format!("key space {}", space.name())).collect()
}

fn found_in_files(folder: &Path, text: &str) -> Vec<String> {
    let mut places = Vec::new();
    search_files(folder, text, &mut places);
    places
}

/// Every file as it lies on disk: journals, tables, configuration.
fn search_files(folder: &Path, text: &str, places: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            search_files(&path, text, places);
        } else if path.is_file() && contains(&std::fs::read(&path).expect("a file"), text) {
            places.push(path.display().to_string());
        }
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Comments from `two` on a post of `one` with a random word, and searches `one`'s folder for the word.
async fn search_for_comment(cache_mb: u64) -> Vec<String> {
    let mut one = Home::start_with("one", |config| config.cache_mb = cache_mb).await;
    let two = Home::start("two").await;
    let (ada, neo) = (one.person("ada", 1).await, two.person("neo", 2).await);
    let hello = one.says(&ada, post("hello")).await;
    let word = format!("w{}", mesh_proto::bytes::base64url(&mesh_proto::port::random::<12>(&mesh_server::system_rng())));
    let object = ada.object(&hello);
    two.says(&neo, comment(&object, &object, &word)).await;
    one.until_count(&hello.id(), Kind::Comment, 1).await;
    if cache_mb > 0 {
        // The cache is written without waiting.
        until("the journal has the body", async || !found_in_files(one.folder.path(), &word).is_empty()).await;
    }
    // While it runs, its journal holds everything that was just written, as it was written.
    let mut places = found_in_files(one.folder.path(), &word);
    one.stop().await;
    places.extend(found_in_spaces(one.folder.path(), &word));
    places
}

#[tokio::test(flavor = "multi_thread")]
async fn comment_text_is_nowhere_in_the_objects_home_without_the_cache() {
    assert_eq!(search_for_comment(0).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_search_finds_the_text_with_the_cache() {
    let places = search_for_comment(16).await;
    assert!(places.iter().any(|place| place == "key space cache"), "{places:?}");
    assert!(places.iter().any(|place| place.contains("journal")), "{places:?}");
}

/// What a leaf stands for, but for the salt.
#[derive(Debug, Clone, Copy)]
struct Guess {
    leaf: u64,
    record: RecordId,
    kind: Kind,
    received: u64,
}

/// The leaves that can be opened with anything of 16 bytes in any row of the store, by one who knows all but the salt.
fn opened(folder: &Path, account: &TestAccount, guesses: &[Guess]) -> BTreeSet<u64> {
    let rows = rows(folder);
    let entries: BTreeMap<&[u8], &[u8]> =
        rows.iter().filter(|(space, _)| *space == Space::LogEntry).map(|(_, (key, value))| (&key[..], &value[..])).collect();
    let salts: BTreeSet<Salt> = rows
        .iter()
        .flat_map(|(_, (key, value))| key.windows(16).chain(value.windows(16)))
        .map(|window| Salt(window.try_into().expect("16 bytes")))
        .collect();
    let opens = |guess: &&Guess| {
        let Guess { leaf, record, kind, received } = **guess;
        let entry = entries[&leaf.to_be_bytes()[..]];
        salts.iter().any(|salt| Opening { salt: *salt, record, account: account.id(), kind, received }.entry().0 == entry)
    };
    guesses.iter().filter(opens).map(|guess| guess.leaf).collect()
}

/// What someone said who is about to close the account, each text with the same word in it.
struct Life {
    word: String,
    said: Vec<Envelope>,
    guesses: Vec<Guess>,
}

impl Life {
    async fn says(&mut self, home: &Home, person: &TestAccount, content: Content) -> Envelope {
        let envelope = person.sign(content);
        let accepted = home.accept(&envelope).await;
        let (record, kind) = (envelope.id(), envelope.kind());
        self.guesses.push(Guess { leaf: accepted.leaf.index, record, kind, received: accepted.received });
        self.said.push(envelope.clone());
        envelope
    }

    /// One statement of every kind, edits, and a withdrawal. `hello` is someone's post.
    async fn lead(home: &Home, (ada, eve): (&TestAccount, &TestAccount), hello: &Envelope) -> Self {
        let word = format!("w{}", mesh_proto::bytes::base64url(&mesh_proto::port::random::<12>(&mesh_server::system_rng())));
        let mut life = Self { said: Vec::new(), guesses: Vec::new(), word: word.clone() };
        let hello = eve.object(hello);
        life.says(home, ada, Content::Profile(Profile { name: word.clone(), bio: word.clone(), ..Profile::default() })).await;
        let first = life.says(home, ada, post(&word)).await;
        let edit = Content::Post(Post { revises: Some(first.id()), ..Post::free(format!("{word} again")) });
        life.says(home, ada, edit).await;
        life.says(home, ada, comment(&hello, &hello, &word)).await;
        life.says(home, ada, like(hello.clone())).await;
        life.says(home, ada, like(hello.clone())).await;
        life.says(home, ada, Content::Repost(Repost { object: hello.clone() })).await;
        life.says(home, ada, subscribe(eve.account_ref())).await;
        life.says(home, ada, Content::Report(Report { object: hello, reason: ReportReason::Spam, text: word })).await;
        let regretted = life.says(home, ada, post("regretted")).await;
        life.says(home, ada, retract(&regretted)).await;
        life
    }

    /// The leaves of the name and of the genesis before it.
    async fn name_and_genesis(home: &Home, person: &TestAccount) -> [Guess; 2] {
        let keys: KeysView = home.get(&format!("/mesh/v1/accounts/{}/keys", person.id())).await.json();
        let name = keys.name.expect("a proven name");
        let (leaf, received) = (name.leaf.index, name.opening.received);
        let genesis = RecordId::from_hash(*person.id().hash());
        [
            Guess { leaf, record: name_id(&person.address()), kind: Kind::Name, received },
            Guess { leaf: leaf - 1, record: genesis, kind: Kind::Key, received },
        ]
    }
}

/// Closes an account; answers the operation.
async fn close(home: &Home, person: &mut TestAccount) -> Envelope {
    let root = person.root.clone();
    let close = person.key_op(Action::AccountClose, &root);
    let reply = home.submit_key(person, &close).await;
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    close
}

pub(crate) async fn until_withdrawn(home: &Home, id: &RecordId) -> RecordView {
    until("the record is withdrawn", async || home.view(id).await.tombstone.is_some()).await;
    home.view(id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_accounts_words_are_gone_and_nobody_can_tell_what_its_leaves_stood_for() {
    let mut one = Home::start("one").await;
    let (mut ada, eve) = (one.person("ada", 1).await, one.person("eve", 2).await);
    let hello = one.says(&eve, post("hello")).await;
    let mut life = Life::lead(&one, (&ada, &eve), &hello).await;
    let [name, genesis] = Life::name_and_genesis(&one, &ada).await;
    life.guesses.extend([name, genesis]);

    one.stop().await;
    assert!(found_in_spaces(one.folder.path(), &life.word).len() >= 5, "the search finds what is there");
    let regretted = life.guesses[9].leaf;
    let open: BTreeSet<u64> = life.guesses.iter().map(|guess| guess.leaf).filter(|leaf| *leaf != regretted).collect();
    assert_eq!(opened(one.folder.path(), &ada, &life.guesses), open, "all but what was withdrawn can be opened");

    one.start_again().await;
    let closed = close(&one, &mut ada).await;
    until_withdrawn(&one, &life.said[10].id()).await;
    one.stop().await;
    assert_eq!(found_in_spaces(one.folder.path(), &life.word), Vec::<String>::new());
    assert_eq!(opened(one.folder.path(), &ada, &life.guesses), [genesis.leaf].into(), "key operations prove whose account it was");

    one.start_again().await;
    for envelope in &life.said {
        let shown = one.get(&format!("/api/v1/records/{}", envelope.id())).await;
        assert!(envelope.kind() == Kind::Report || shown.json::<RecordView>().record.is_none());
        assert!(!String::from_utf8_lossy(&shown.body).contains(&life.word));
    }
    let tombstone = one.view(&life.said[9].id()).await.tombstone.expect("a tombstone");
    assert_eq!(tombstone.retract.as_deref(), Some(&closed), "of what was withdrawn before, the closure tells");
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_accounts_statements_do_not_count_and_its_pages_say_why() {
    let one = Home::start("one").await;
    let (mut ada, eve) = (one.person("ada", 1).await, one.person("eve", 2).await);
    let hello = one.says(&eve, post("hello")).await;
    let life = Life::lead(&one, (&ada, &eve), &hello).await;
    let (first, said) = (&life.said[1], &life.said[3]);
    let answer = one.says(&eve, comment(&ada.object(first), &ada.object(first), "what others say stays theirs")).await;
    let subscribers = async || one.get("/api/v1/accounts/eve").await.json::<AccountView>().counts.get(&Kind::Subscribe).copied();
    for kind in [Kind::Comment, Kind::Like, Kind::Repost] {
        assert_eq!(one.count(&hello.id(), kind).await, 1, "{kind}");
    }
    assert_eq!(subscribers().await, Some(1));

    let closed = close(&one, &mut ada).await;
    until_withdrawn(&one, &life.said[10].id()).await;
    for kind in [Kind::Comment, Kind::Like, Kind::Repost] {
        assert_eq!(one.count(&hello.id(), kind).await, 0, "{kind}");
    }
    assert_eq!(subscribers().await, None);
    let notices: NotificationPage = one.get_as(&eve, "/api/v1/notifications").await.json();
    assert_eq!(notices.notifications.len(), 0);
    assert_eq!(one.get("/api/v1/accounts/ada/posts").await.json::<FeedPage>().items, []);
    let thread: Comments = one.get(&format!("/api/v1/records/{}/comments", hello.id())).await.json();
    let [tombstone] = thread.comments.as_slice() else { panic!("the comment's place: {thread:?}") };
    assert_eq!((tombstone.card.id, tombstone.card.parent), (said.id(), Some(hello.id())));
    assert_eq!(tombstone.tombstone.as_ref().and_then(|tombstone| tombstone.retract.as_deref()), Some(&closed));
    assert!(one.view(&answer.id()).await.record.is_some());

    let view: AccountView = one.get("/api/v1/accounts/ada").await.json();
    assert_eq!((view.status, view.profile.name.as_str(), view.counts.len()), (Status::Closed, "", 0));
    for (path, words) in [("/@ada".to_owned(), "closed by its owner"), (format!("/@ada/{}", first.id()), "withdrawn by its author")] {
        let page = one.get(&path).await;
        let html = String::from_utf8_lossy(&page.body).into_owned();
        assert_eq!(page.status, 410, "{path}: {html}");
        assert!(html.contains(words) && !html.contains(&life.word), "{path}: {html}");
    }
    assert!(!String::from_utf8_lossy(&one.get("/").await.body).contains("/@ada"));
    let refused = one.submit(&ada.sign(post("one more thing"))).await;
    assert_eq!(refused.problem(), "account");
    assert!(refused.json::<Problem>().detail.contains("closed"), "{}", String::from_utf8_lossy(&refused.body));
    let keys: KeysView = one.get(&format!("/mesh/v1/accounts/{}/keys", ada.id())).await.json();
    assert!(keys.name.is_none(), "the name stands for nobody now");
    let log = KeyLog::from_ops(keys.ops).expect("a good log");
    assert_eq!((log.account(), log.head(), log.view().status()), (ada.id(), closed.id(), Status::Closed));
    assert_eq!(one.register(&TestAccount::new(&one.address("ada"), 9)).await.problem(), "name");
}

#[tokio::test(flavor = "multi_thread")]
async fn closure_that_lost_its_power_is_finished_by_the_next_start() {
    let mut one = Home::start("one").await;
    let mut ada = one.person("ada", 1).await;
    one.stop().await;
    let files = FaultFiles::new();
    one.start_again_on(files.clone()).await;
    let mut said = Vec::new();
    for number in 0..20 {
        said.push(one.says(&ada, post(&format!("abandoned words {number}"))).await.id());
    }
    close(&one, &mut ada).await;
    files.lose_power(Torn::Nothing).expect("the files can be changed");
    one.abandon().await;
    one.start_again_on(FaultFiles::new()).await;
    for id in &said {
        until_withdrawn(&one, id).await;
    }
    one.stop().await;
    assert_eq!(found_in_spaces(one.folder.path(), "abandoned words"), Vec::<String>::new());
}
