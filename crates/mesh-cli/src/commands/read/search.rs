//! `mesh search`.

use super::{Printer, Proofs};
use crate::cli::SearchArgs;
use crate::context::Context;
use crate::fault::Fault;
use crate::safe;
use crate::sieve::Sieve;
use crate::text::Entry;
use anyhow::Result;
use mesh_client::reader::Reader;

/// Most results of one page.
const RESULTS_MAX: usize = 50;

pub(in crate::commands) async fn run(context: &Context, args: SearchArgs) -> Result<()> {
    let reader = reader(context, &args)?;
    let query = args.query.join(" ");
    let page = reader.home().search(&query, args.limit.clamp(1, RESULTS_MAX), args.after.as_deref()).await?;
    for note in &page.notes {
        context.out.talk(&safe::line(note));
    }
    if !page.corrections.is_empty() {
        context.out.talk(&safe::line(&format!("also searched for: {}", page.corrections.join(", "))));
    }
    let found = reader.show(page.results.into_iter().map(|result| result.record).collect()).await;
    if found.is_empty() {
        context.out.talk(&format!("nothing on {} has these words", reader.home().domain()));
    }
    let mut printer = Printer::new(context, Proofs::Hidden).through(Sieve::new(context, None)?);
    for shown in &found {
        printer.one(Entry::new(shown)).await;
    }
    if let Some(next) = page.next {
        context.out.talk(&format!("more: mesh search {} --after {}", safe::line(&query), safe::line(&next)));
    }
    printer.end()
}

fn reader(context: &Context, args: &SearchArgs) -> Result<Reader> {
    let domain = match (&args.on, context.stored()?) {
        (Some(domain), _) => domain.clone(),
        (None, Some(stored)) => stored.address.domain().clone(),
        (None, None) => {
            return Err(
                Fault::usage("there is no home to ask".to_owned(), "name a domain: mesh search --on DOMAIN WORDS".to_owned()).into()
            );
        }
    };
    Ok(Reader::new(context.home(&domain), context.pins.clone()))
}
