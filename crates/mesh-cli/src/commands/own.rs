//! What a person keeps to themself: `mesh mute`, `mesh list`, `mesh bookmark`. Nothing of it leaves this machine but the question who is
//! behind an address.

use crate::cli::{BookmarkArgs, ListsArgs, Mode, MuteArgs};
use crate::context::{Context, target};
use crate::fault::Fault;
use crate::{safe, time};
use anyhow::Result;
use mesh_client::ErrorKind;
use mesh_client::reader::private::{Bookmark, People, Private};
use mesh_proto::address::Address;
use mesh_proto::key::AccountId;
use mesh_proto::uri::Target;
use serde::Serialize;

/// Somebody in a list, as `--json` prints them.
#[derive(Serialize)]
struct Somebody<'a> {
    account: &'a AccountId,
    address: &'a Address,
}

/// Keeps what was changed, unless it is a rehearsal.
fn save(context: &Context, private: &Private) -> Result<()> {
    if context.mode == Mode::DryRun {
        context.out.talk("dry run: nothing is kept");
        return Ok(());
    }
    Ok(context.private.save(private)?)
}

/// The account behind what was typed.
async fn somebody(context: &Context, text: &str) -> Result<(AccountId, Address)> {
    let Target::Person(person) = target(text)? else {
        return Err(Fault::usage(format!("{} is not a person", safe::line(text)), "give an address such as neo@mesh.org".to_owned()).into());
    };
    let own = context.stored()?.map(|stored| stored.address.domain().clone());
    let found = context.verifying().person(&person, own.as_ref()).await?;
    Ok((found.keys.account(), found.keys.view().address().clone()))
}

/// Takes somebody out, by the address they were named with or have now; asks nobody unless it must.
async fn remove(context: &Context, people: &mut People, text: &str) -> Result<()> {
    let named = people.iter().find(|(_, address)| address.to_string() == text).map(|(account, _)| *account);
    let account = match named {
        Some(account) => account,
        None => somebody(context, text).await?.0,
    };
    people.remove(&account).map(|_| ()).ok_or_else(|| nothing(text))
}

fn nothing(what: &str) -> anyhow::Error {
    Fault::new(
        ErrorKind::NotFound,
        format!("{} is not in it", safe::line(what)),
        "the same command without arguments shows what is".to_owned(),
    )
    .into()
}

pub(super) async fn mute(context: &Context, args: MuteArgs) -> Result<()> {
    let mut private = context.private.load()?;
    let mutes = &mut private.mutes;
    if args.person.is_none() && args.word.is_none() && args.domain.is_none() {
        context.out.either(mutes, || {
            let people = mutes.people.values().map(|address| format!("person {address}"));
            let domains = mutes.domains.iter().map(|domain| format!("domain {domain}"));
            let words = mutes.words.iter().map(|words| format!("word   {}", safe::line(words)));
            people.chain(domains).chain(words).collect::<Vec<_>>().join("\n")
        });
        return Ok(());
    }
    if let Some(person) = &args.person {
        if args.remove {
            remove(context, &mut mutes.people, person).await?;
        } else {
            mutes.people.extend([somebody(context, person).await?]);
        }
    }
    if let Some(word) = args.word.map(|word| word.trim().to_lowercase()) {
        if word.is_empty() {
            return Err(Fault::usage("an empty word would hide everything".to_owned(), "mesh mute --word WORD".to_owned()).into());
        }
        if args.remove && !mutes.words.remove(&word) {
            return Err(nothing(&word));
        }
        if !args.remove {
            mutes.words.insert(word);
        }
    }
    if let Some(domain) = args.domain {
        if args.remove && !mutes.domains.remove(&domain) {
            return Err(nothing(&domain.to_string()));
        }
        if !args.remove {
            mutes.domains.insert(domain);
        }
    }
    save(context, &private)
}

pub(super) async fn list(context: &Context, args: ListsArgs) -> Result<()> {
    let mut private = context.private.load()?;
    let Some(name) = args.name else {
        for (name, people) in &private.lists {
            context
                .out
                .either(&serde_json::json!({"name": name, "people": people.len()}), || format!("{}  {}", safe::line(name), people.len()));
        }
        return Ok(());
    };
    if args.people.is_empty() && args.remove {
        private.lists.remove(&name).ok_or_else(|| nothing(&name))?;
        return save(context, &private);
    }
    if args.people.is_empty() {
        for (account, address) in private.lists.get(&name).ok_or_else(|| nothing(&name))? {
            context.out.either(&Somebody { account, address }, || address.to_string());
        }
        return Ok(());
    }
    let people = private.lists.entry(name).or_default();
    for person in &args.people {
        if args.remove {
            remove(context, people, person).await?;
        } else {
            people.extend([somebody(context, person).await?]);
        }
    }
    save(context, &private)
}

pub(super) fn bookmark(context: &Context, args: BookmarkArgs) -> Result<()> {
    let mut private = context.private.load()?;
    let Some(link) = args.target else {
        for bookmark in &private.bookmarks {
            context.out.either(bookmark, || format!("{}  {}", time::minute(bookmark.at), safe::line(&bookmark.uri)));
        }
        return Ok(());
    };
    let uri = target(&link)?.to_string();
    let known = private.bookmarks.iter().position(|bookmark| bookmark.uri == uri);
    match (args.remove, known) {
        (true, Some(index)) => drop(private.bookmarks.remove(index)),
        (true, None) => return Err(nothing(&uri)),
        (false, Some(_)) => context.out.talk("it is there already"),
        (false, None) => private.bookmarks.push(Bookmark { uri, at: context.http.now_ms() }),
    }
    save(context, &private)
}
