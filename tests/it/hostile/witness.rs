//! Nobody shows one log here and another there, or takes back what it showed: checkpoints are kept, compared and cosigned.

use crate::federation::{like, post};
use crate::network::{Home, until};
use crate::peer::Peer;
use crate::stored::erasure::found_in_spaces;
use mesh_proto::api::{AccountView, Delivery, DeliveryAnswer, Discovery, DomainKeyUse, ItemResult, KeysView, Problem};
use mesh_proto::envelope::Kind;
use mesh_proto::log::{Cosignature, cosignatures};
use mesh_testkit::{TestAccount, TestLog};

async fn log_key(home: &Home) -> mesh_proto::key::Verifier {
    let discovery: Discovery = home.get("/.well-known/mesh").await.json();
    discovery.key(DomainKeyUse::Log).expect("a log key").verifier().expect("a good key")
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoint_that_another_domain_cosigned_vouches_for_names() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, neo) = (one.person("ada", 1).await, two.person("neo", 2).await);
    let keys = async || two.get(&format!("/mesh/v1/accounts/{}/keys", neo.id())).await.json::<KeysView>().name.expect("a name").checkpoint;
    assert_eq!(cosignatures(&keys().await).expect("a note"), [], "nobody has seen it yet");
    let hello = one.says(&ada, post("hello")).await;
    two.says(&neo, like(ada.object(&hello))).await;
    one.until_count(&hello.id(), Kind::Like, 1).await;
    until("the cosignature comes back", async || !cosignatures(&keys().await).expect("a note").is_empty()).await;
    let note = keys().await;
    let seen: Vec<Cosignature> = cosignatures(&note).expect("a note");
    assert_eq!(seen[0].domain().to_string(), one.domain);
    assert_eq!(seen[0].verify(&note, &log_key(&one).await), Ok(()));
    let view: AccountView = two.get(&format!("/api/v1/accounts/{}", neo.id())).await.json();
    assert_eq!(view.witnesses.iter().map(ToString::to_string).collect::<Vec<_>>(), [one.domain.as_str()]);
    let shown = async |home: &Home, user: &str| String::from_utf8(home.get(&format!("/@{user}")).await.body).expect("text");
    let proven = format!("Name proven in the log of {}, cosigned by {}", two.domain, one.domain);
    assert!(shown(&two, "neo").await.contains(&proven), "{}", shown(&two, "neo").await);
    // Nothing of one's log was shown to anybody.
    let view: AccountView = one.get(&format!("/api/v1/accounts/{}", ada.id())).await.json();
    assert_eq!(view.witnesses, []);
    assert!(shown(&one, "ada").await.contains("no other domain has confirmed this log yet (unwitnessed)"));
}

struct Stage {
    one: Home,
    peer: Peer,
    ada: TestAccount,
    neo: TestAccount,
}

/// A domain that was shown the first three leaves of a played one's log.
async fn stage() -> Stage {
    let (one, mut peer) = (Home::start("one").await, Peer::start("peer", 40).await);
    let (ada, neo) = (one.person("ada", 1).await, peer.person("neo", 2));
    let hello = one.says(&ada, post("hello")).await;
    for _ in 0..2 {
        peer.log(&neo, &neo.sign(post("for others")));
    }
    assert_eq!(peer.deliver(&one, &neo, &neo.sign(like(ada.object(&hello)))).await, ItemResult::Accepted);
    Stage { one, peer, ada, neo }
}

impl Stage {
    /// A delivery of one more record.
    async fn another(&mut self) -> Delivery {
        let another = self.one.says(&self.ada, post("another")).await;
        let item = self.peer.log(&self.neo, &self.neo.sign(like(self.ada.object(&another))));
        self.peer.delivery(vec![item], &[&self.neo])
    }

    async fn refusal(&self, delivery: &Delivery) -> Problem {
        let reply = self.peer.signed(&self.one, "/mesh/v1/deliveries", delivery).await;
        assert_eq!(reply.status, 409);
        reply.json()
    }
}

#[tokio::test]
async fn growth_from_what_was_shown_must_be_proven_and_is_cosigned() {
    let mut stage = stage().await;
    let unproven = stage.another().await;
    let problem = stage.refusal(&unproven).await;
    assert_eq!((problem.code(), problem.checkpoint_wanted), ("checkpoint_wanted", Some(3)));
    let proven = stage.peer.grown(&unproven, 3);
    let reply = stage.peer.signed(&stage.one, "/mesh/v1/deliveries", &proven).await;
    let answer: DeliveryAnswer = reply.json();
    assert_eq!(answer.results, [ItemResult::Accepted]);
    let cosignature = answer.cosignature.expect("a new checkpoint");
    assert_eq!(cosignature.verify(&proven.checkpoint, &log_key(&stage.one).await), Ok(()));
}

#[tokio::test]
async fn log_that_was_rewritten_is_refused_and_the_proof_kept() {
    let mut stage = stage().await;
    // The same leaves but for the first.
    let honest = std::mem::replace(&mut stage.peer.log, TestLog::new(&format!("{}/log/1", stage.peer.domain), 41));
    for _ in 0..3 {
        stage.peer.log(&stage.neo, &stage.neo.sign(post("rewritten")));
    }
    let rewritten = stage.another().await;
    let mut forged = stage.peer.grown(&rewritten, 3);
    assert_eq!(stage.refusal(&forged).await.code(), "log_forked");
    // Nor does a proof of another log help, nor another root for the same size.
    forged.growth = Some(honest.prove_growth(3));
    assert_eq!(stage.refusal(&forged).await.code(), "log_forked");
    let mut same_size = TestLog::new(&format!("{}/log/1", stage.peer.domain), 41);
    std::mem::swap(&mut same_size, &mut stage.peer.log);
    for _ in 0..2 {
        stage.peer.log(&stage.neo, &stage.neo.sign(post("rewritten")));
    }
    let other = stage.another().await;
    let problem = stage.refusal(&other).await;
    assert_eq!(problem.code(), "log_forked");
    assert!(problem.detail.contains("kept as evidence"), "{}", problem.detail);
    stage.one.stop().await;
    // The first pair is kept: it shows the same as all later ones.
    assert_eq!(found_in_spaces(stage.one.folder.path(), &forged.checkpoint), ["key space evidence"]);
}

#[tokio::test]
async fn log_that_was_cut_short_is_refused() {
    let mut stage = stage().await;
    stage.peer.log = TestLog::new(&format!("{}/log/1", stage.peer.domain), 41);
    let short = stage.another().await;
    let problem = stage.refusal(&short).await;
    assert_eq!((problem.code(), problem.checkpoint_wanted), ("checkpoint_wanted", Some(3)));
}
