//! Hostile domains, played over real HTTP: each attack of `spec/threats.md` that has no other place.

mod answers;
mod dating;
mod names;
mod restored;
mod split;
mod ssrf;
mod witness;

use crate::federation::{post, subscribe};
use crate::network::{Home, until};
use mesh_testkit::TestAccount;

/// Two domains that know each other: somebody of the first follows somebody of the second.
struct Neighbours {
    one: Home,
    two: Home,
    ada: TestAccount,
    bob: TestAccount,
}

impl Neighbours {
    async fn start() -> Self {
        let (one, two) = (Home::start("one").await, Home::start("two").await);
        let (ada, bob) = (one.person("ada", 1).await, two.person("bob", 2).await);
        one.says(&ada, subscribe(bob.account_ref())).await;
        crate::federation::until_subscribed(&two, &bob, 1).await;
        two.says(&bob, post("for ada")).await;
        until("the post arrives", async || one.get_as(&ada, "/api/v1/feed").await.json::<mesh_proto::api::FeedPage>().items.len() == 1)
            .await;
        Self { one, two, ada, bob }
    }
}
