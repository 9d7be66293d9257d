//! Polls with the real `mesh` program.

use super::{Terminal, uri};
use crate::federation::polls::until_tally;
use crate::network::{Home, until};
use mesh_proto::envelope::Envelope;

const HOSTILE: &str = "</p><script>alert(1)</script> \u{202e}gpj.exe \u{1f600}";

#[tokio::test(flavor = "multi_thread")]
async fn polls_are_asked_answered_changed_shown_and_proven_from_other_domains() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, neo) = (Terminal::new(), Terminal::new());
    ada.join(&one.address("ada")).await;
    neo.join(&two.address("neo")).await;
    let asked = ada.one(&["post", "Which?", "--poll", "Tea", "--poll", HOSTILE, "--poll-ends", "3d"]).await;
    let link = uri(&asked);
    let id = asked["id"].as_str().expect("an id").parse().expect("a record id");
    let question: Envelope = one.view(&id).await.record.expect("it is here").envelope;
    let (code, said) = ada.run(&["show", link]).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("○ 1 ░░░░░░░░░░   0 % (0) Tea") && said.contains("[poll, one choice: 0 people voted, ends "), "{said}");
    assert!(said.contains("\\u{202e}gpj.exe") && !said.contains('\u{202e}'), "{said}");

    neo.one(&["vote", link, "2"]).await;
    until_tally(&one, &question, 1, &[0, 1]).await;
    neo.one(&["vote", link, "1"]).await;
    until_tally(&one, &question, 1, &[1, 0]).await;
    let (_, said) = neo.run(&["show", link]).await;
    assert!(said.contains("● 1 ██████████ 100 % (1) Tea") && said.contains("1 person voted"), "{said}");
    let (_, said) = neo.run(&["thread", link]).await;
    assert!(said.contains("● 1 ██████████ 100 % (1) Tea"), "{said}");
    let shown = neo.one(&["show", link]).await;
    assert_eq!((&shown["poll_view"]["tally"]["votes"], &shown["own_vote"]), (&serde_json::json!([1, 0]), &serde_json::json!([0])));
    let (code, said) = Terminal::new().run_all(&["verify", "--thread", link]).await;
    assert!(code == 0 && said.contains("holds: 1 counted, 1 verified (option 1: 1, option 2: 0)"), "{code} {said}");

    for (bad, words) in [("3", "only 2 options"), ("1,2", "one choice only"), ("9", "9 is not in 1..=8")] {
        let (code, said) = neo.run_all(&["vote", link, bad]).await;
        assert!(code == 2 && said.contains(words), "{bad}: {code} {said}");
    }
    let plain = ada.one(&["post", "no question"]).await;
    let (code, said) = neo.run_all(&["vote", uri(&plain), "1"]).await;
    assert!(code == 2 && said.contains("has no poll"), "{code} {said}");
    neo.one(&["like", link]).await;
    let (_, said) = neo.run_all(&["undo", link]).await;
    assert!(said.contains("--kind like or --kind vote"), "{said}");
    neo.one(&["undo", "--kind", "vote", link]).await;
    until_tally(&one, &question, 0, &[0, 0]).await;
    // An edit keeps the poll.
    ada.one(&["post", "--edit", link, "Which one?"]).await;
    let (_, said) = neo.run(&["show", link]).await;
    assert!(said.contains("Which one?") && said.contains("Tea"), "{said}");
    let (code, said) = ada.run_all(&["post", "Which?", "--poll", "Tea", "--poll", "Coffee", "--poll-ends", "5s"]).await;
    assert!(code != 0 && said.contains("must last from a minute to 366 days"), "{code} {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_in_the_feed_are_answered_with_keys() {
    let (one, two) = (Home::start("one").await, Home::start("two").await);
    let (ada, neo) = (Terminal::new(), Terminal::new());
    ada.join(&one.address("ada")).await;
    neo.join(&two.address("neo")).await;
    neo.one(&["subscribe", &one.address("ada")]).await;
    let asked = ada.one(&["post", "Which?", "--poll", "Tea", "--poll", "Coffee", "--poll", "Water", "--poll-multiple"]).await;
    let id = asked["id"].as_str().expect("an id").parse().expect("a record id");
    let question: Envelope = one.view(&id).await.record.expect("it is here").envelope;
    until("the post in the feed", async || neo.run(&["feed"]).await.1.contains("its home counts the votes")).await;
    let mut seen = super::terminal::Seen::start(&neo, &["feed"], 80, &[]);
    seen.until_it_says("○ 3 Water").await;
    seen.press("p13");
    seen.until_it_says("[1, 3]").await;
    seen.press("12");
    seen.until_it_says("[2, 3]").await;
    seen.press("\r");
    seen.until("the own vote", |text| text.contains("● 2 Coffee") && text.contains("● 3 Water") && text.contains("○ 1 Tea")).await;
    until_tally(&one, &question, 1, &[0, 1, 1]).await;
    seen.press("\r");
    seen.until("the numbers of its home", |text| text.contains("● 2 ██████████ 100 % (1) Coffee")).await;
    seen.press("u");
    seen.until_it_says("undone").await;
    until_tally(&one, &question, 0, &[0, 0, 0]).await;
    seen.press("qq");
    assert!(seen.ends().await);
}
