//! Operators decide: at home at once, elsewhere soon, and so that everybody can check it.

use crate::federation::polls::{asked, long_poll, until_tally, vote};
use crate::federation::{comment, like, post, subscribe, until_subscribed};
use crate::network::{Home, now_ms, until};
use crate::people::{Terminal, uri};
use mesh_proto::api::{AccountView, Comments, Discovery, DomainKeyUse, FeedPage, RulingsPage, RulingsPush, RulingsTaken};
use mesh_proto::envelope::{Envelope, Kind, RecordId};
use mesh_proto::key::SecretKey;
use mesh_proto::record::{Content, Report, ReportReason, RetractReason};
use mesh_proto::rules::Rules;
use mesh_proto::ruling::{About, Measure, Ruling};
use mesh_server::config;
use mesh_server::operator::{NewRules, Order, ReportAnswer, Reports, Target};
use mesh_testkit::TestAccount;

impl Home {
    async fn decides(&self, target: Target, measure: Measure) -> Ruling {
        let order = Order { target, measure, reason: ReportReason::Spam, text: "decided".into() };
        self.operator("POST", "/rulings", &order).await.expect("the operator decides")
    }

    async fn is_removed(&self, id: &RecordId) -> bool {
        let view = self.view(id).await;
        view.record.is_none() && view.tombstone.is_some_and(|tombstone| tombstone.reason == RetractReason::Home)
    }

    async fn feed_of(&self, person: &TestAccount) -> usize {
        let page: FeedPage = self.get_as(person, "/api/v1/feed").await.json();
        page.items.len()
    }

    /// Its key, as others see it.
    async fn rules(&self, envelope: &Envelope) -> Ruling {
        let discovery: Discovery = self.get("/.well-known/mesh").await.json();
        let key = discovery.key(DomainKeyUse::Request).expect("a key").verifier().expect("a key");
        Ruling::open(envelope, (&discovery.domain, &key)).expect("signed by this domain")
    }

    async fn text(&self, path: &str) -> (u16, String) {
        let reply = self.get(path).await;
        (reply.status, String::from_utf8(reply.body).expect("UTF-8"))
    }
}

/// How many answers a command gives.
async fn answers(terminal: &Terminal, command: &str) -> usize {
    let (code, printed) = terminal.run(&["--json", command]).await;
    assert_eq!(code, 0, "{printed}");
    printed.lines().filter(|line| line.starts_with('{')).count()
}

fn account(person: &TestAccount) -> Target {
    Target::Account(person.id().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn report_from_another_domain_reaches_the_operator_and_comes_back_with_a_signed_answer() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let ada = one.person("ada", 1).await;
    let neo = Terminal::new();
    neo.join(&two.address("neo")).await;
    neo.one(&["subscribe", &one.address("ada")]).await;
    until_subscribed(&one, &ada, 1).await;
    let spam = one.says(&ada, post("BUY NOW")).await;
    until("it is in neo's feed", async || answers(&neo, "feed").await == 1).await;
    let link = format!("http://{}/@ada/{}", one.domain, spam.id());
    let reported = neo.one(&["report", &link, "--reason", "spam", "--text", "not again"]).await;
    assert!(uri(&reported).starts_with("mesh://"));
    let reports = async || one.operator::<Reports>("GET", "/reports", &()).await.expect("answers").reports;
    until("the operator sees the report", async || reports().await.len() == 1).await;
    let report = reports().await.remove(0);
    assert_eq!((report.text.as_str(), report.reason, report.object), ("not again", ReportReason::Spam, spam.id()));
    assert_eq!((report.reporter.to_string(), report.author, report.ruling), (two.address("neo"), one.address("ada"), None));
    // Nobody else learns of it.
    assert_eq!(one.get(&format!("/api/v1/records/{}", report.id)).await.status, 404);

    let answer = ReportAnswer { measure: Measure::Remove, text: "thank you".into() };
    let ruling: Ruling = one.operator("POST", &format!("/reports/{}", report.id), &answer).await.expect("answers");
    assert_eq!(ruling.about.report, Some(report.id));
    assert!(one.is_removed(&spam.id()).await, "at home it is gone at once");
    assert!(!one.text("/@ada").await.1.contains("BUY NOW"));
    assert_eq!(reports().await.remove(0).ruling, Some(ruling));
    until("it is gone elsewhere", async || two.is_removed(&spam.id()).await).await;
    assert_eq!(answers(&neo, "feed").await, 0);
    // The program verifies the signature of the domain that answered.
    until("neo has the answer", async || answers(&neo, "rulings").await == 1).await;
    let (code, words) = neo.run(&["rulings"]).await;
    assert!(code == 0 && words.contains("what you reported was removed") && words.contains("thank you"), "{words}");
    // Everybody may read what was decided about the record, and nobody who reported it.
    let public: RulingsPage = one.get("/mesh/v1/rulings").await.json();
    assert_eq!(public.rulings.len(), 1);
    assert_eq!(one.rules(&public.rulings[0]).await.about.record, Some(spam.id()));
    // It can be undone.
    one.decides(Target::Record(spam.id()), Measure::None).await;
    assert!(one.text("/@ada").await.1.contains("BUY NOW"));
    until("it is back elsewhere", async || two.view(&spam.id()).await.record.is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_account_disappears_at_home_at_once_and_elsewhere_soon_and_may_still_leave() {
    let (one, mut two) = (Home::start("one").await, Home::start("two").await);
    let (ada, eve, neo) = (one.person("ada", 1).await, one.person("eve", 3).await, two.person("neo", 2).await);
    two.says(&neo, subscribe(ada.account_ref())).await;
    until_subscribed(&one, &ada, 1).await;
    let said = one.says(&ada, post("ada speaks #speech")).await;
    assert!(one.text("/sitemap/1.xml").await.1.contains(&said.id().to_string()) && one.text("/tag/speech").await.1.contains("ada speaks"));
    let theirs = one.says(&eve, post("a thread of eve's")).await;
    let below = one.says(&ada, comment(&eve.object(&theirs), &eve.object(&theirs), "ada comments")).await;
    until("neo reads it", async || two.feed_of(&neo).await == 1).await;
    two.view(&said.id()).await.record.expect("two shows it");

    one.decides(Target::Account("ada".into()), Measure::Suspend).await;
    for path in ["/", "/@ada", &format!("/@ada/{}", said.id()), &format!("/@eve/{}", theirs.id()), "/@eve"] {
        let (_, page) = one.text(path).await;
        assert!(!page.contains("ada speaks") && !page.contains("ada comments"), "{path}");
    }
    for path in ["/@ada/feed.atom", "/@ada/feed.json", "/feed.atom", "/sitemap/1.xml", "/search?q=ada", "/tag/speech"] {
        let (_, page) = one.text(path).await;
        assert!(!page.contains("ada speaks") && !page.contains(&said.id().to_string()) && !page.contains("/@ada/"), "{path}: {page}");
    }
    assert_eq!(one.text("/@ada").await.0, 410);
    let posts: FeedPage = one.get("/api/v1/accounts/ada/posts").await.json();
    assert_eq!(posts.items.len(), 0);
    let view: AccountView = one.view_of("ada").await;
    let ruling = one.rules(&view.suspended.expect("said why")).await;
    assert_eq!((ruling.measure, ruling.text.as_str()), (Measure::Suspend, "decided"));
    let thread: Comments = one.get(&format!("/api/v1/records/{}/comments", theirs.id())).await.json();
    assert!(thread.comments.iter().all(|view| view.record.is_none()) && one.is_removed(&below.id()).await);
    let refused = one.submit(&ada.sign(post("again"))).await;
    assert_eq!((refused.status, refused.problem().as_str()), (403, "moderated"));
    until("it is gone elsewhere", async || two.is_removed(&said.id()).await && two.feed_of(&neo).await == 0).await;
    assert!(!two.text(&format!("/@{}", one.address("ada"))).await.1.contains("ada speaks"));
    // It is kept over a restart.
    two.stop().await;
    two.start_again().await;
    assert!(two.is_removed(&said.id()).await);
    // All that is theirs is theirs, also to take away.
    assert_eq!(one.get_as(&ada, &format!("/api/v1/accounts/{}/export", ada.id())).await.status, 200);
    let page: RulingsPage = one.get_as(&ada, "/api/v1/rulings").await.json();
    assert_eq!(page.rulings.len(), 1);

    one.decides(account(&ada), Measure::None).await;
    assert!(one.text("/@ada").await.1.contains("ada speaks"));
    one.says(&ada, post("ada is back")).await;
    until("neo reads it all", async || two.feed_of(&neo).await == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blocked_domain_is_neither_heard_nor_counted_until_it_is_let_in_again() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, neo) = (one.person("ada", 1).await, two.person("neo", 2).await);
    let said = one.says(&ada, post("hello")).await;
    let object = ada.object(&said);
    two.says(&neo, like(object.clone())).await;
    let below = two.says(&neo, comment(&object, &object, "from two")).await;
    one.until_count(&said.id(), Kind::Like, 1).await;
    one.until_count(&said.id(), Kind::Comment, 1).await;

    one.decides(Target::Domain(two.domain.parse().expect("a domain")), Measure::Block).await;
    assert_eq!((one.count(&said.id(), Kind::Like).await, one.count(&said.id(), Kind::Comment).await), (0, 0));
    assert!(!one.text(&format!("/@ada/{}", said.id())).await.1.contains("from two"));
    assert!(one.is_removed(&below.id()).await);
    let later = two.says(&neo, comment(&object, &object, "a second one")).await;
    // What two's server is told when it delivers.
    let folder = config::read(two.folder.path()).expect("a folder");
    let keyid = format!("{}/{}", two.domain, folder.request_key.id());
    let push = serde_json::to_vec(&RulingsPush { rulings: Vec::new() }).expect("JSON");
    let told = one.signed("POST", "/mesh/v1/rulings", push, (&keyid, &folder.request_key)).await;
    assert_eq!((told.status, told.problem().as_str()), (403, "moderated"));

    one.decides(Target::Domain(two.domain.parse().expect("a domain")), Measure::Probation).await;
    assert_eq!(one.count(&said.id(), Kind::Like).await, 0);
    one.decides(Target::Domain(two.domain.parse().expect("a domain")), Measure::None).await;
    assert_eq!(one.count(&said.id(), Kind::Like).await, 1);
    one.view(&below.id()).await.record.expect("it is shown again");
    one.until_count(&said.id(), Kind::Comment, 2).await;
    one.view(&later.id()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn domain_on_probation_is_taken_in_but_neither_shown_below_others_things_nor_counted() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, neo) = (one.person("ada", 1).await, two.person("neo", 2).await);
    let said = one.says(&ada, post("hello")).await;
    let object = ada.object(&said);
    two.says(&neo, like(object.clone())).await;
    one.until_count(&said.id(), Kind::Like, 1).await;
    one.decides(Target::Domain(two.domain.parse().expect("a domain")), Measure::Probation).await;
    let below = two.says(&neo, comment(&object, &object, "from a stranger")).await;
    until("the comment came", async || one.get(&format!("/api/v1/records/{}", below.id())).await.status == 200).await;
    assert!(one.is_removed(&below.id()).await);
    assert_eq!((one.count(&said.id(), Kind::Like).await, one.count(&said.id(), Kind::Comment).await), (0, 0));
    assert!(!one.text(&format!("/@ada/{}", said.id())).await.1.contains("from a stranger"));
    one.decides(Target::Domain(two.domain.parse().expect("a domain")), Measure::None).await;
    assert_eq!((one.count(&said.id(), Kind::Like).await, one.count(&said.id(), Kind::Comment).await), (1, 1));
    assert!(one.text(&format!("/@ada/{}", said.id())).await.1.contains("from a stranger"));
}

#[tokio::test(flavor = "multi_thread")]
async fn votes_of_a_blocked_domain_are_left_out_by_option() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, smith, neo) = (one.person("ada", 1).await, one.person("smith", 2).await, two.person("neo", 3).await);
    let poll = long_poll(&["tea", "coffee"]);
    let question = asked(&ada, &poll);
    one.accept(&question).await;
    one.says(&smith, vote(&ada, &question, &poll, &[0])).await;
    two.says(&neo, vote(&ada, &question, &poll, &[1])).await;
    until_tally(&one, &question, 2, &[1, 1]).await;
    let domain = || Target::Domain(two.domain.parse().expect("a domain"));
    one.decides(domain(), Measure::Block).await;
    until_tally(&one, &question, 1, &[1, 0]).await;
    one.decides(domain(), Measure::Probation).await;
    two.says(&neo, vote(&ada, &question, &poll, &[0])).await;
    until_tally(&one, &question, 1, &[1, 0]).await;
    one.decides(domain(), Measure::None).await;
    until_tally(&one, &question, 2, &[2, 0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ruling_binds_only_if_it_is_the_homes_own_and_the_newest() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, neo, eve) = (one.person("ada", 1).await, two.person("neo", 2).await, two.person("eve", 3).await);
    let full = two.person("full", 4).await;
    one.says(&ada, subscribe(full.account_ref())).await;
    one.says(&ada, subscribe(neo.account_ref())).await;
    until_subscribed(&two, &neo, 1).await;
    let said = two.says(&neo, post("from two")).await;
    until("one has it", async || one.feed_of(&ada).await == 1).await;
    let folder = config::read(two.folder.path()).expect("a folder");
    let push = async |rulings: Vec<Envelope>| {
        let keyid = format!("{}/{}", two.domain, folder.request_key.id());
        let body = serde_json::to_vec(&RulingsPush { rulings }).expect("JSON");
        one.signed("POST", "/mesh/v1/rulings", body, (&keyid, &folder.request_key)).await
    };
    let ruling = |about: About, measure, at| Ruling {
        domain: two.domain.parse().expect("a domain"),
        about,
        measure,
        reason: ReportReason::Other,
        text: String::new(),
        at,
    };
    let about = |person: &TestAccount| About { account: Some(person.id()), ..About::default() };
    let taken = async |rulings: Vec<Envelope>| push(rulings).await.json::<RulingsTaken>().taken;
    let key = &folder.request_key;
    // Not its people; nobody that is known; a report that nobody made.
    assert_eq!(taken(vec![ruling(about(&ada), Measure::Suspend, 1).sign(key)]).await, 0);
    assert_eq!(taken(vec![ruling(about(&eve), Measure::Suspend, 1).sign(key)]).await, 0);
    let made_up = About { report: Some(said.id()), ..about(&ada) };
    assert_eq!(taken(vec![ruling(made_up, Measure::None, 1).sign(key)]).await, 0);
    assert!(one.view_of("ada").await.suspended.is_none());
    // By another key, of another domain, in the future, not a ruling, too many.
    let stranger = SecretKey::from_seed(&[9; 32]);
    assert_eq!(push(vec![ruling(about(&neo), Measure::Suspend, 1).sign(&stranger)]).await.problem(), "bad_signature");
    let others = Ruling { domain: "three.localhost:1".parse().expect("a domain"), ..ruling(about(&neo), Measure::Suspend, 1) };
    assert_eq!(push(vec![others.sign(key)]).await.problem(), "malformed");
    assert_eq!(push(vec![ruling(about(&neo), Measure::Suspend, now_ms() + 600_000).sign(key)]).await.problem(), "future");
    assert_eq!(push(vec![ruling(about(&neo), Measure::Block, 1).sign(key)]).await.problem(), "malformed");
    assert_eq!(push(vec![said.clone()]).await.problem(), "malformed");
    assert_eq!(push(vec![ruling(about(&neo), Measure::Suspend, 1).sign(key); 101]).await.problem(), "too_large");
    assert!(!one.is_removed(&said.id()).await);
    // Made-up records fill no memory, and what matters still gets in when it is there already.
    let made_up =
        |n: u32| About { record: Some(RecordId::from_hash([n.to_be_bytes(); 8].concat().try_into().expect("32 bytes"))), ..about(&full) };
    let fill = async |from: u32| push((from..from + 100).map(|n| ruling(made_up(n), Measure::Remove, 1).sign(key)).collect()).await;
    for from in (1..1_000).step_by(100) {
        assert_eq!(fill(from).await.status, 200);
    }
    assert_eq!(fill(1_001).await.problem(), "too_large");
    assert_eq!(taken(vec![ruling(about(&full), Measure::Suspend, 1).sign(key)]).await, 1, "an account can always be suspended");
    // What it may say; and an older one does not undo it.
    let (suspended, older) = (ruling(about(&neo), Measure::Suspend, 1_000).sign(key), ruling(about(&neo), Measure::None, 999).sign(key));
    assert_eq!(taken(vec![suspended.clone()]).await, 1);
    assert!(one.is_removed(&said.id()).await && one.feed_of(&ada).await == 0);
    assert_eq!(taken(vec![older, suspended]).await, 0);
    assert!(one.is_removed(&said.id()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_is_told_what_cannot_be_decided() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, neo) = (one.person("ada", 1).await, two.person("neo", 2).await);
    let said = one.says(&ada, post("hello")).await;
    let refused = async |target: Target, measure| {
        let order = Order { target, measure, reason: ReportReason::Other, text: String::new() };
        one.operator::<Ruling>("POST", "/rulings", &order).await.expect_err("it is refused").to_string()
    };
    assert!(refused(Target::Account("nobody".into()), Measure::Suspend).await.contains("no account"));
    assert!(refused(account(&neo), Measure::Suspend).await.contains("no account"));
    assert!(refused(Target::Record(RecordId::from_hash([1; 32])), Measure::Remove).await.contains("no record"));
    assert!(refused(Target::Record(said.id()), Measure::Suspend).await.contains("cannot have"));
    assert!(refused(Target::Domain(one.domain.parse().expect("a domain")), Measure::Block).await.contains("another domain"));
    // A report that was withdrawn is no report any more.
    let about = Report { object: ada.object(&said), reason: ReportReason::Abuse, text: "mine".into() };
    let bob = one.person("bob", 4).await;
    let report = one.says(&bob, Content::Report(about)).await;
    let count = async || one.operator::<Reports>("GET", "/reports", &()).await.expect("answers").reports.len();
    assert_eq!(count().await, 1);
    one.says(&bob, crate::federation::retract(&report)).await;
    assert_eq!(count().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_shown_signed_and_numbered() {
    let one = Home::start("one").await;
    assert_eq!(one.get("/mesh/v1/rules").await.status, 404);
    let set = async |text: &str| one.operator::<Rules>("POST", "/rules", &NewRules { text: text.into() }).await;
    assert_eq!(set("Be kind.\n\nNo <script>.").await.expect("set").version, 1);
    let (_, page) = one.text("/about").await;
    assert!(page.contains("Be kind.") && page.contains("No &#60;script&#62;."), "{page}");
    assert_eq!(set("Be kind.").await.expect("set").version, 2);
    assert!(!one.text("/about").await.1.contains("script&#62;"));
    for (path, version) in [("/mesh/v1/rules", 2), ("/mesh/v1/rules?version=1", 1)] {
        let envelope: Envelope = one.get(path).await.json();
        let discovery: Discovery = one.get("/.well-known/mesh").await.json();
        let key = discovery.key(DomainKeyUse::Request).expect("a key").verifier().expect("a key");
        assert_eq!(Rules::open(&envelope, (&discovery.domain, &key)).expect("signed").version, version);
    }
    assert!(set(" \n").await.expect_err("refused").to_string().contains("say nothing"));
    assert!(set(&"x".repeat(40_000)).await.expect_err("refused").to_string().contains("32,768"));
}
