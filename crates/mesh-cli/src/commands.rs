//! The commands, one file per family.

mod counted;
mod doctor;
pub(crate) mod drafts;
mod elsewhere;
mod id;
mod import;
mod init;
mod manual;
mod mirror;
mod moving;
mod own;
pub(crate) mod read;
mod rulings;
mod verify;
mod write;

use crate::cli::{Cli, Command, Mode};
use crate::context::Context;
use crate::out::Out;
use anyhow::Result;

/// Runs one command and keeps what was learned about others, whether it succeeded or not.
pub(crate) async fn run(cli: Cli, out: &Out) -> Result<()> {
    match cli.command {
        Command::Completions { shell } => return manual::completions(shell, out),
        Command::Man { dir } => return manual::man(dir.as_deref(), out),
        _ => {}
    }
    let context = Context::new(&cli.global, out)?;
    let watched = elsewhere::is_watched(&cli.command);
    let mut result = Box::pin(dispatch(&context, cli.command)).await;
    if result.is_ok() && watched && context.mode != Mode::DryRun {
        result = elsewhere::watch(&context).await;
    }
    if context.mode == Mode::DryRun {
        return result;
    }
    let saved = context.pins.save().map_err(anyhow::Error::from);
    result.and(saved)
}

async fn dispatch(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::Init(args) => init::run(context, args).await,
        Command::Whoami => id::whoami(context),
        Command::Id(command) => id::run(context, command).await,
        Command::Post(args) => write::post(context, args).await,
        Command::Draft { command } => drafts::run(context, command).await,
        Command::Scheduled(args) => drafts::scheduled::run(context, args).await,
        Command::Like(args) => write::like(context, &args.target).await,
        Command::Comment(args) => write::comment(context, args).await,
        Command::Subscribe(args) => write::subscribe(context, &args.target).await,
        Command::Vote(args) => write::vote(context, args).await,
        Command::Repost(args) => write::repost(context, &args.target).await,
        Command::Report(args) => rulings::report(context, args).await,
        Command::Rulings => rulings::list(context).await,
        Command::Undo(args) => write::undo(context, args).await,
        Command::Profile(args) => write::profile(context, args).await,
        Command::Show(args) => read::show(context, args).await,
        Command::History(args) => read::history::run(context, args).await,
        Command::Thread(args) => read::thread(context, args).await,
        Command::Feed(args) => read::feed(context, args).await,
        Command::Notifications(args) => read::notifications(context, args).await,
        Command::Verify(args) if args.thread => counted::run(context, &args.target).await,
        Command::Verify(args) => verify::run(context, args).await,
        Command::Mute(args) => own::mute(context, args).await,
        Command::List(args) => own::list(context, args).await,
        Command::Bookmark(args) => own::bookmark(context, args),
        Command::Export(args) => moving::export(context, &args.file).await,
        Command::Import(args) => import::run(context, args).await,
        Command::Doctor => doctor::run(context).await,
        Command::Completions { .. } | Command::Man { .. } => Ok(()),
    }
}
