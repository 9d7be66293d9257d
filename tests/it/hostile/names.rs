//! Names: what a home says in WebFinger, whom it passes off as somebody, and keys that it swaps. People with the real program find out.

use crate::federation::like;
use crate::network::Home;
use crate::peer::Peer;
use crate::people::Terminal;
use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use mesh_proto::api::{AccountView, KeysKnown, KeysView, KnownUnder, ProfileView};
use mesh_testkit::TestAccount;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What a played home shows.
#[derive(Default)]
struct Shown {
    /// Under any name.
    account: Option<AccountView>,
    keys: Vec<KeysView>,
    known: Vec<KeysKnown>,
    webfinger: String,
}

struct Liar {
    peer: Peer,
    shown: Arc<Mutex<Shown>>,
    fingered: Arc<AtomicU64>,
}

impl Liar {
    async fn start() -> Self {
        let (shown, fingered) = (Arc::<Mutex<Shown>>::default(), Arc::<AtomicU64>::default());
        let (of_account, of_keys, of_known, of_finger) = (shown.clone(), shown.clone(), shown.clone(), shown.clone());
        let counted = fingered.clone();
        let account = move || async move { Json(of_account.lock().expect("no panic").account.clone()) };
        let keys = move |Path(id): Path<String>| async move {
            let shown = of_keys.lock().expect("no panic");
            Json(shown.keys.iter().find(|view| view.account.to_string() == id).cloned())
        };
        let known = move || async move { Json(KnownUnder { accounts: of_known.lock().expect("no panic").known.clone() }) };
        let finger = move || async move {
            counted.fetch_add(1, Ordering::SeqCst);
            of_finger.lock().expect("no panic").webfinger.clone()
        };
        let more = Router::new()
            .route("/api/v1/accounts/{who}", get(account))
            .route("/mesh/v1/accounts/{id}/keys", get(keys))
            .route("/mesh/v1/known", get(known))
            .route("/.well-known/webfinger", get(finger));
        Self { peer: Peer::start_with("evil", 40, more).await, shown, fingered }
    }

    /// Logs the name of an account, and shows it whoever is asked for.
    fn show(&mut self, account: &TestAccount) {
        let name = Some(self.peer.log.name(account));
        let view = AccountView {
            suspended: None,
            account: account.id(),
            address: account.address(),
            head: account.keys.head(),
            status: account.keys.view().status(),
            created: 1,
            profile: ProfileView::default(),
            counts: Default::default(),
            witnesses: Vec::new(),
        };
        let keys = KeysView { account: account.id(), ops: account.keys.ops().cloned().collect(), name };
        let mut shown = self.shown.lock().expect("no panic");
        shown.account = Some(view);
        shown.keys.retain(|view| view.account != keys.account);
        shown.keys.push(keys);
    }

    fn knows(&self, account: &TestAccount) {
        self.shown.lock().expect("no panic").known = vec![KeysKnown { account: account.id(), head: Some(account.keys.head()) }];
    }
}

#[track_caller]
fn refused((code, words): (i32, String), wanted: &str) {
    assert_eq!(code, 4, "{words}");
    assert!(words.contains(wanted), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn webfinger_that_lies_changes_nothing() {
    let (one, mut evil, ada) = (Home::start("one").await, Liar::start().await, Terminal::new());
    let (neo, eve) = (evil.peer.person("neo", 2), TestAccount::new("eve@other.localhost", 3));
    evil.show(&neo);
    evil.shown.lock().expect("no panic").webfinger = serde_json::json!({
        "subject": format!("acct:{}", eve.address()),
        "aliases": [format!("mesh://{}", eve.id())],
        "links": [{ "rel": "self", "type": "application/json", "href": format!("http://{}/api/v1/accounts/{}", one.domain, eve.id()) }],
    })
    .to_string();
    ada.join(&one.address("ada")).await;
    let address = neo.address().to_string();
    assert_eq!(ada.one(&["verify", &address]).await["account"], neo.id().to_string());
    let done = ada.one(&["subscribe", &address]).await;
    let said = one.get(&format!("/api/v1/records/{}", done["id"].as_str().expect("an id"))).await;
    let said: mesh_proto::api::RecordView = said.json();
    let record = mesh_proto::record::Record::open(&said.record.expect("the record").envelope).expect("a record");
    assert!(matches!(&record.content, mesh_proto::record::Content::Subscribe(on) if on.object == neo.account_ref()), "{record:?}");
    assert_eq!(evil.fingered.load(Ordering::SeqCst), 0, "nobody asked");
    // Nor does an honest domain speak for another.
    let asked = one.get(&format!("/.well-known/webfinger?resource=acct:{address}")).await;
    assert_eq!((asked.status, asked.problem()), (403, "not_home".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn home_that_passes_somebody_else_off_is_refused() {
    let (mut evil, ada) = (Liar::start().await, Terminal::new());
    let (neo, eve) = (evil.peer.person("neo", 2), evil.peer.person("eve", 3));
    evil.show(&eve);
    refused(ada.run(&["verify", neo.address().to_string().as_str()]).await, "passes somebody else off as it");
}

#[tokio::test(flavor = "multi_thread")]
async fn swapped_key_of_a_known_contact_is_refused() {
    let (mut evil, ada) = (Liar::start().await, Terminal::new());
    let (mut neo, impostor) = (evil.peer.person("neo", 2), evil.peer.person("neo", 3));
    let address = neo.address().to_string();
    evil.show(&neo);
    let before = evil.shown.lock().expect("no panic").keys.clone();
    assert_eq!(ada.one(&["verify", &address]).await["contact"], "first");
    evil.show(&impostor);
    refused(ada.run(&["verify", &address]).await, "IS ANOTHER PERSON NOW");
    refused(ada.run(&["show", &address]).await, "IS ANOTHER PERSON NOW");
    // A key that was added cannot be taken back either.
    neo.add_device(7);
    evil.show(&neo);
    assert_eq!(ada.one(&["verify", &address]).await["contact"], "known");
    evil.shown.lock().expect("no panic").keys = before;
    refused(ada.run(&["verify", &address]).await, "no longer contains operation");
}

#[tokio::test(flavor = "multi_thread")]
async fn swapped_key_of_a_new_contact_is_refused_where_the_own_home_knows_better_and_else_shown_as_unwitnessed() {
    let (one, mut evil) = (Home::start("one").await, Liar::start().await);
    let (neo, impostor) = (evil.peer.person("neo", 2), evil.peer.person("neo", 3));
    let address = neo.address().to_string();
    let (ada, stranger) = (Terminal::new(), Terminal::new());
    ada.join(&one.address("ada")).await;
    let hello = ada.one(&["post", "hello"]).await;
    let view: mesh_proto::api::RecordView = one.get(&format!("/api/v1/records/{}", hello["id"].as_str().expect("an id"))).await.json();
    let shown = view.record.expect("the record").envelope;
    let object = mesh_proto::record::ObjectRef {
        actor: view.card.actor,
        home: one.domain.parse().expect("a domain"),
        id: shown.id(),
        version: shown.id(),
    };
    // Neo's home was honest when he liked something here.
    evil.peer.deliver(&one, &neo, &neo.sign(like(object))).await;
    evil.show(&impostor);
    refused(ada.run(&["verify", &address]).await, "KNOWS ANOTHER PERSON AS");
    refused(ada.run(&["subscribe", &address]).await, "KNOWS ANOTHER PERSON AS");
    let (code, words) = stranger.run(&["verify", &address]).await;
    assert_eq!(code, 0, "{words}");
    assert!(words.contains(&impostor.id().to_string()) && words.contains("unwitnessed"), "{words}");
    // On somebody's word it is another person after all.
    assert_eq!(ada.run(&["verify", &address, "--accept-new-person"]).await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_person_under_ones_own_address_elsewhere_is_a_loud_error() {
    let (one, mut evil, ada) = (Home::start("one").await, Liar::start().await, Terminal::new());
    let neo = evil.peer.person("neo", 2);
    evil.show(&neo);
    ada.join(&one.address("ada")).await;
    // Its domain is known from now on.
    ada.one(&["verify", neo.address().to_string().as_str()]).await;
    let (code, words) = ada.run(&["doctor"]).await;
    assert!(code == 0 && words.contains(&format!("{} knows nobody under this address", evil.peer.domain)), "{code} {words}");
    evil.knows(&TestAccount::new(&one.address("ada"), 9));
    let (code, words) = ada.run(&["doctor"]).await;
    assert!(code == 4 && words.contains("KNOWS ANOTHER PERSON AS") && words.contains("warn those who know you"), "{code} {words}");
    // Other commands look once a day, and say it until it is mended.
    for _ in 0..2 {
        let output = ada.run(&["post", "hello"]).await;
        assert_eq!(output.0, 4, "{}", output.1);
    }
    evil.shown.lock().expect("no panic").known.clear();
    assert_eq!(ada.run(&["post", "hello again"]).await.0, 0);
    // It was looked at today.
    evil.knows(&TestAccount::new(&one.address("ada"), 9));
    assert_eq!(ada.run(&["post", "and again"]).await.0, 0);
}
