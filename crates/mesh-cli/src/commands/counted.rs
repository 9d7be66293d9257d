//! `mesh verify --thread`: whether a home can show what it counts.

use crate::context::{Context, target};
use crate::fault::Fault;
use crate::safe;
use anyhow::Result;
use mesh_client::ErrorKind;
use mesh_client::verify::thread::{Counted, Doubt, ThreadProof, Verdict, prove};

/// Records named one by one, of each counter.
const NAMED_MAX: usize = 20;

pub(super) async fn run(context: &Context, link: &str) -> Result<()> {
    let target = target(link)?;
    let reader = context.reader(&target)?;
    let top = reader.record(&target).await?;
    // A record's counters are complete at its home.
    let reader = reader.through(top.author.domain());
    let proof = prove(&reader, &top).await?;
    context.out.either(&proof, || lines(&proof));
    conclude(&proof)
}

fn lines(proof: &ThreadProof) -> String {
    let mut lines = vec![format!("record    {}", proof.record), format!("home      {}", proof.home)];
    for counted in &proof.counters {
        let verdict = match counted.verdict {
            Verdict::Holds => "holds",
            Verdict::Unproven => "NOT PROVEN",
            Verdict::Wrong => "WRONG",
        };
        let disowned = if counted.disowned > 0 { format!(", {} disowned", counted.disowned) } else { String::new() };
        let (kind, signed, verified) = (format!("{}s", counted.kind), counted.signed, counted.verified);
        let votes: Vec<String> = counted.votes.iter().enumerate().map(|(place, votes)| format!("option {}: {votes}", place + 1)).collect();
        let votes = if votes.is_empty() { String::new() } else { format!(" ({})", votes.join(", ")) };
        lines.push(format!("{kind:<10}{verdict}: {signed} counted, {verified} verified{disowned}{votes}"));
        for (what, doubts) in [("does not verify", &counted.refused), ("cannot be had", &counted.absent)] {
            lines.extend(doubts.iter().take(NAMED_MAX).map(|doubt| named(what, doubt)));
            if doubts.len() > NAMED_MAX {
                lines.push(format!("          … and {} more", doubts.len() - NAMED_MAX));
            }
        }
    }
    lines.join("\n")
}

fn named(what: &str, doubt: &Doubt) -> String {
    format!("          {what}: {} of {}: {}", doubt.record, doubt.home, safe::line(&doubt.why))
}

fn conclude(proof: &ThreadProof) -> Result<()> {
    let accusations = |verdict: Verdict| {
        let of_that = proof.counters.iter().filter(move |counted| counted.verdict == verdict);
        of_that.filter_map(|counted: &Counted| counted.accusation(&proof.home)).collect::<Vec<_>>()
    };
    let wrong = accusations(Verdict::Wrong);
    if !wrong.is_empty() {
        return Err(Fault::new(ErrorKind::Verification, wrong.join("; "), format!("ask the operator of {}", proof.home)).into());
    }
    let unproven = accusations(Verdict::Unproven);
    if unproven.is_empty() {
        return Ok(());
    }
    Err(Fault::new(ErrorKind::Network, unproven.join("; "), "try again when their homes answer".to_owned()).into())
}
