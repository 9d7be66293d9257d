//! The interface on a terminal: a feed or a thread that is looked at, answered and followed with the keyboard.
//!
//! Owns the loop: keys, news of the event stream and finished work come in one at a time, change the [`app::App`], and the whole screen is
//! drawn anew. Work runs beside the loop ([`work`]); the event stream has a task of its own, because dropping it half-way would lose news.
//! All text has passed [`crate::safe`] before it is laid out. The terminal is given back in order on every way out ([`screen`]).
//! Deliberately not here: what a key means for a list ([`app`]), protocol rules (mesh-client).

mod app;
mod input;
mod item;
mod keys;
mod list;
mod screen;
mod view;
mod work;

use crate::commands::read::feed_page;
use crate::context::Context;
use crate::sieve::Sieve;
use anyhow::Result;
use app::{App, Effect};
use crossterm::event::EventStream;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use mesh_client::follow::{Follow, News};
use mesh_client::home::Page;
use mesh_client::reader::Shown;
use mesh_client::session::Session;
use mesh_proto::limits::PAGE_MAX;
use mesh_proto::uri::Target;
use screen::Screen;
use std::io::IsTerminal;
use tokio::sync::mpsc;
use work::Worker;

/// News that wait for the loop; beyond it the stream waits.
const NEWS_WAITING_MAX: usize = 64;

/// Jobs that run at a time: a held key or a home that floods must not pile them up.
const JOBS_MAX: usize = 64;

/// Whether somebody sits at a terminal and did not ask for data or for a dry run.
pub(crate) fn is_wanted(context: &Context) -> bool {
    let able = std::env::var_os("TERM").is_some_and(|term| term != "dumb" && !term.is_empty());
    let data = context.out.is_json() || context.mode == crate::cli::Mode::DryRun;
    able && !data && std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// The feed, live.
pub(crate) async fn feed(context: &Context, session: &Session, page: Page, sieve: Sieve) -> Result<()> {
    // As much as the follower looks back at: what it finds beyond that is new.
    let page = Page { limit: Some(PAGE_MAX), ..page };
    let shown = feed_page(session, page, &sieve).await?;
    let worker = Worker::new(context, Some(session), sieve);
    let (items, next) = (worker.items(shown.items).await, shown.next);
    let known: Vec<Shown> = items.iter().map(|item| item.shown.clone()).collect();
    let follow = Follow::new(session.reader().clone(), session.signer().clone(), &known);
    let app = App::feed(session.address(), items, next);
    run(&worker, app, Some(follow)).await
}

/// A thread; live as far as it is about one's own things.
pub(crate) async fn thread(context: &Context, target: Target) -> Result<()> {
    let session = if context.stored()?.is_some() { Some(context.session()?) } else { None };
    let worker = Worker::new(context, session.as_ref(), Sieve::new(context, None)?);
    let thread = worker.thread(&target).await?;
    let follow = session.as_ref().map(|session| Follow::new(session.reader().clone(), session.signer().clone(), &[]));
    run(&worker, App::thread(thread, session.as_ref().map(|session| session.address().clone())), follow).await
}

async fn run(worker: &Worker<'_>, mut app: App, follow: Option<Follow>) -> Result<()> {
    let mut news = follow.map(listen);
    let mut screen = Screen::open()?;
    let mut events = EventStream::new();
    let mut running = FuturesUnordered::new();
    let mut ends = screen::Ends::new()?;
    loop {
        app.is_busy = !running.is_empty();
        screen.draw(|frame| view::draw(frame, &mut app, worker.now_ms()))?;
        let effects = tokio::select! {
            event = events.next() => match event {
                Some(event) => app.event(event?),
                None => vec![Effect::Quit],
            },
            Some(outcome) = running.next(), if !running.is_empty() => app.outcome(outcome),
            told = heard(&mut news), if running.len() < JOBS_MAX => match told {
                Ok(News::Notification(news)) if !worker.sieve.lets_card(&news.card) => Vec::new(),
                told => app.news(told),
            },
            () = ends.any() => vec![Effect::Quit],
        };
        for effect in effects {
            match effect {
                Effect::Quit => return Ok(()),
                Effect::Edit(target, text) => {
                    // Two readers of one keyboard would share its keys.
                    drop(events);
                    let written = screen.edit(&text);
                    events = EventStream::new();
                    running.extend(app.edited(target, written).map(|job| worker.run(job)));
                }
                Effect::Open(link) => app.opened(screen::open_link(&link), &link),
                Effect::Work(job) if running.len() < JOBS_MAX => running.push(worker.run(job)),
                Effect::Work(_) => app.status = "too much at once: wait a little".to_owned(),
            }
        }
    }
}

/// Follows in a task of its own until nobody listens.
fn listen(mut follow: Follow) -> mpsc::Receiver<mesh_client::Result<News>> {
    let (tell, hear) = mpsc::channel(NEWS_WAITING_MAX);
    tokio::spawn(async move {
        loop {
            let told = tokio::select! {
                told = follow.next() => told,
                () = tell.closed() => return,
            };
            let is_last = told.is_err();
            if tell.send(told).await.is_err() || is_last {
                return;
            }
        }
    });
    hear
}

/// The next news; never, if nobody tells any.
async fn heard(news: &mut Option<mpsc::Receiver<mesh_client::Result<News>>>) -> mesh_client::Result<News> {
    if let Some(hear) = news {
        if let Some(told) = hear.recv().await {
            return told;
        }
        *news = None;
    }
    std::future::pending().await
}
