//! Votes are healed as likes are: what was lost comes again, and what no home knows goes, with the numbers for each option.

use super::{change, heal, lose};
use crate::federation::polls::{asked, long_poll, tally, until_tally, vote};
use crate::network::Home;
use mesh_proto::api::Tally;
use mesh_proto::envelope::Envelope;

#[tokio::test(flavor = "multi_thread")]
async fn lost_votes_come_again_and_invented_ones_go() {
    let (mut one, mut two) = (Home::start("one").await, Home::start("two").await);
    let ada = one.person("ada", 1).await;
    let choice = long_poll(&["tea", "coffee", "water"]);
    let question = asked(&ada, &choice);
    one.accept(&question).await;
    let mut votes = Vec::new();
    for number in 0..5 {
        let person = two.person(&format!("p{number}"), 10 + number).await;
        votes.push(two.says(&person, vote(&ada, &question, &choice, &[usize::from(number) % 2])).await);
    }
    until_tally(&one, &question, 5, &[3, 2, 0]).await;
    let whole = heal(&mut one).await;
    assert_eq!((whole.missing, whole.extra), (0, 0), "{whole:?}");

    one.stop().await;
    let lost: Vec<_> = votes[..3].iter().map(Envelope::id).collect();
    change(one.folder.path(), |store, batch| lose(store, batch, &lost));
    one.start_again().await;
    let report = heal(&mut one).await;
    assert_eq!((report.missing, report.fetched), (3, 3), "{report:?}");
    assert_eq!(tally(&one, &question).await, Some(Tally { voters: 5, votes: vec![3, 2, 0] }));

    two.stop().await;
    change(two.folder.path(), |store, batch| lose(store, batch, &lost));
    two.start_again().await;
    let report = heal(&mut one).await;
    assert_eq!((report.extra, report.dropped), (3, 3), "{report:?}");
    assert_eq!(tally(&one, &question).await, Some(Tally { voters: 2, votes: vec![1, 1, 0] }));
    let again = heal(&mut one).await;
    assert_eq!((again.missing, again.extra), (0, 0), "{again:?}");
}
