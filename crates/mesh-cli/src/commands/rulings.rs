//! Reports to operators, and what operators decided.

use super::write::act;
use crate::cli::ReportArgs;
use crate::context::{Context, target};
use crate::{safe, time};
use anyhow::Result;
use mesh_proto::ruling::{Measure, Ruling};

pub(super) async fn report(context: &Context, args: ReportArgs) -> Result<()> {
    let session = context.session()?;
    let record = session.draft_report(&target(&args.target)?, args.reason.into(), args.text).await?;
    act(context, &session, record).await?;
    context.out.talk("the operators of its home see it; mesh rulings shows their answer");
    Ok(())
}

pub(super) async fn list(context: &Context) -> Result<()> {
    let mut rulings = context.session()?.rulings().await?;
    rulings.sort_by_key(|ruling| std::cmp::Reverse(ruling.at));
    for ruling in &rulings {
        context.out.either(ruling, || words(ruling));
    }
    if rulings.is_empty() {
        context.out.talk("nobody has decided anything about you");
    }
    Ok(())
}

fn words(ruling: &Ruling) -> String {
    let about = match (&ruling.about.record, &ruling.about.report) {
        (Some(record), _) => format!("your record {record}"),
        (_, Some(report)) => format!("your report {report}"),
        _ => "your account".to_owned(),
    };
    let decided = match (ruling.measure, ruling.about.report.is_some()) {
        (Measure::None, true) => "they found nothing to do",
        (Measure::Remove, true) => "what you reported was removed",
        (Measure::Suspend, true) => "its author was suspended",
        (Measure::None, false) => "nothing is held against it any more",
        (Measure::Remove, false) => "it is not shown any more",
        (Measure::Suspend, false) => "it is suspended: nothing of it is shown. mesh id move takes you elsewhere",
        (Measure::Block | Measure::Probation, _) => "they said something that this program does not know",
    };
    let mut words = format!("{}  {}: {about}: {decided}", time::minute(ruling.at), ruling.domain);
    if !ruling.text.is_empty() {
        words.push_str("\n  ");
        words.push_str(&safe::plain(&ruling.text));
    }
    words
}
