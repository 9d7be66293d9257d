//! What really happened: everything that people said and their homes accepted, and what must therefore be seen everywhere.
//!
//! Some things cannot be foreseen, because the protocol lets the order of arrival decide. They are named in [`Doubt`], and nothing else is excepted.

use crate::wire::Place;
use mesh_proto::api::Accepted;
use mesh_proto::envelope::{Kind, RecordId};
use mesh_proto::key::{AccountId, KeyId, SecretKey};
use mesh_proto::keylog::LogPosition;
use mesh_proto::record::{AccountRef, Content, ObjectRef, Record};
use mesh_testkit::TestAccount;
use std::collections::{BTreeMap, BTreeSet};

/// A person's number.
pub(crate) type Who = usize;

/// Whether a domain, and who lives there, keeps to the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Honesty {
    /// It does.
    Honest,
    /// It does not, and nothing is promised about its people.
    Hostile,
}

/// Someone with keys.
pub(crate) struct Person {
    pub(crate) account: TestAccount,
    /// The present home.
    pub(crate) place: Place,
    /// All homes that it had, in their order: the last one is the present one.
    pub(crate) homes: Vec<Place>,
    /// Domains that agreed to keep a copy, ever; and those of them that the key log names.
    pub(crate) copies: BTreeSet<Place>,
    pub(crate) mirrors: BTreeSet<Place>,
    /// Of one who moved: the only domains that were told where the person went.
    pub(crate) told: Option<BTreeSet<Place>>,
    pub(crate) honesty: Honesty,
    /// Live devices.
    pub(crate) devices: Vec<SecretKey>,
    /// Devices that were revoked, and the last leaf of each that the person stands by.
    pub(crate) revoked: BTreeMap<KeyId, Option<LogPosition>>,
    pub(crate) closed: Option<Closed>,
    /// Key operations that had to be announced, and to whom.
    pub(crate) announced: Vec<(RecordId, BTreeSet<Place>)>,
    /// Key operations by a thief, which may be known elsewhere and count nowhere.
    pub(crate) stolen: BTreeSet<RecordId>,
}

impl Person {
    /// Someone who lives at a place since the beginning.
    pub(crate) fn new(account: TestAccount, place: Place, honesty: Honesty) -> Self {
        let devices = vec![account.device.clone()];
        Self {
            account,
            place,
            homes: vec![place],
            copies: BTreeSet::new(),
            mirrors: BTreeSet::new(),
            told: None,
            honesty,
            devices,
            revoked: BTreeMap::new(),
            closed: None,
            announced: Vec::new(),
            stolen: BTreeSet::new(),
        }
    }

    /// Where the person lived, for people who read about a violation.
    pub(crate) fn path(&self) -> String {
        self.homes.iter().map(|place| format!("d{place:02}")).collect::<Vec<_>>().join(" > ")
    }

    /// Whether the person ever changed homes.
    pub(crate) fn moved(&self) -> bool {
        self.homes.len() > 1
    }
}

/// The account is no more: closed by its owner, or compromised for ever.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Closed;

/// One accepted record.
pub(crate) struct Said {
    pub(crate) id: RecordId,
    pub(crate) who: Who,
    pub(crate) device: KeyId,
    pub(crate) leaf: LogPosition,
    pub(crate) content: Content,
}

/// Why it cannot be foreseen whether a statement counts elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// What it acts on, or answers, was withdrawn: the order of arrival decides.
    Object,
    /// Its device was revoked before this leaf: it is refused after the revocation has come, and counts, disowned, before.
    Disowned,
    /// Its actor's account was closed or compromised: what was not delivered by then never is, and what was stays.
    Closed,
    /// Its actor is at the mercy of a hostile home.
    Hostile,
    /// It took the place of an earlier one, and was withdrawn. If that was before it was delivered, only the withdrawal arrives, and says nothing about the
    /// earlier one: that one counts elsewhere until sets are reconciled, or the actor says it once more.
    Overtaken,
    /// It went down with its home: it was said after the backup from which the home was restored, or after the copy with which its actor left a destroyed home.
    Lost,
    /// It is about somebody who moved, and neither the old home, if there was one, nor the new one could tell its actor's home.
    Unaware,
}

/// What is to be expected of a statement that an actor makes once about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    /// This record, and no other.
    Exactly(Option<RecordId>),
    /// Any of those that were ever made, or none.
    Any(Doubt),
}

/// The truth.
#[derive(Default)]
pub(crate) struct Oracle {
    pub(crate) people: Vec<Person>,
    pub(crate) said: Vec<Said>,
    pub(crate) by_id: BTreeMap<RecordId, usize>,
    by_account: BTreeMap<AccountId, Who>,
    /// What was withdrawn, by which record.
    pub(crate) retracts: BTreeMap<RecordId, usize>,
    /// What its actor's home does not have any more.
    pub(crate) lost: BTreeSet<RecordId>,
    /// Statements about what was ever withdrawn have [`Doubt::Object`].
    statements: BTreeMap<(Kind, [u8; 32]), BTreeMap<Who, Vec<usize>>>,
}

impl Oracle {
    pub(crate) fn add_person(&mut self, person: Person) -> Who {
        self.by_account.insert(person.account.id(), self.people.len());
        self.people.push(person);
        self.people.len() - 1
    }

    pub(crate) fn who(&self, account: &AccountId) -> Option<Who> {
        self.by_account.get(account).copied()
    }

    pub(crate) fn get(&self, id: &RecordId) -> Option<&Said> {
        self.by_id.get(id).map(|at| &self.said[*at])
    }

    /// Whether somebody with the right key said this.
    pub(crate) fn is_genuine(&self, id: &RecordId) -> bool {
        self.by_id.contains_key(id)
    }

    pub(crate) fn is_honest(&self, who: Who) -> bool {
        self.people[who].honesty == Honesty::Honest
    }

    /// How others name a post or comment.
    pub(crate) fn object(&self, said: &Said) -> ObjectRef {
        let AccountRef { actor, home } = self.people[said.who].account.account_ref();
        ObjectRef { actor, home, id: said.id, version: said.id }
    }

    /// Notes what a home accepted.
    pub(crate) fn accepted(&mut self, who: Who, record: Record, accepted: &Accepted) {
        let at = self.said.len();
        let Record { head, content } = record;
        if let Content::Retract(retract) = &content {
            self.retracts.entry(retract.object).or_insert(at);
            if let Some(target) = self.by_id.get(&retract.object).map(|target| &self.said[*target])
                && let Some(about) = target.content.once_about()
            {
                self.statements.entry((target.content.kind(), *about)).or_default().entry(who).or_default().push(at);
            }
        } else if let Some(about) = content.once_about() {
            self.statements.entry((content.kind(), *about)).or_default().entry(who).or_default().push(at);
        }
        self.by_id.insert(accepted.id, at);
        self.said.push(Said { id: accepted.id, who, device: head.device, leaf: accepted.leaf.clone(), content });
    }

    /// Whether a record itself is beyond doubt.
    pub(crate) fn doubt_about(&self, said: &Said) -> Option<Doubt> {
        let person = &self.people[said.who];
        let good = |last: &LogPosition| said.leaf.origin == last.origin && said.leaf.index <= last.index;
        let disowned = person.revoked.get(&said.device).is_some_and(|last| !last.as_ref().is_some_and(good));
        match (person.honesty, person.closed) {
            (Honesty::Hostile, _) => Some(Doubt::Hostile),
            (_, Some(Closed)) => Some(Doubt::Closed),
            _ if self.lost.contains(&said.id) => Some(Doubt::Lost),
            _ if disowned => Some(Doubt::Disowned),
            _ => None,
        }
    }

    /// Whether an object was there all the time.
    fn doubt_about_object(&self, id: &RecordId) -> Option<Doubt> {
        let gone = self.retracts.contains_key(id) || self.lost.contains(id);
        let Some(said) = self.get(id) else { return Some(Doubt::Object) };
        // A thread's root governs what is done to its comments.
        let root = if let Content::Comment(comment) = &said.content { Some(&comment.root.id) } else { None };
        let gone = gone || self.people[said.who].closed.is_some() || root.is_some_and(|root| self.doubt_about_object(root).is_some());
        gone.then_some(Doubt::Object)
    }

    /// Whether a post or comment was at its home, and could be acted on, all the time.
    pub(crate) fn is_lasting(&self, said: &Said) -> bool {
        self.doubt_about_object(&said.id).is_none()
    }

    /// What is certain about those alone whose homes know where someone went.
    pub(crate) fn as_told(&self, author: Who, mut expected: BTreeMap<Who, Expected>) -> BTreeMap<Who, Expected> {
        for (who, one) in &mut expected {
            if self.is_unaware(author, *who) {
                *one = Expected::Any(Doubt::Unaware);
            }
        }
        expected
    }

    /// Whether someone's homes may not know where an author went.
    fn is_unaware(&self, author: Who, who: Who) -> bool {
        let author = &self.people[author];
        author.told.as_ref().is_some_and(|told| self.people[who].homes.iter().any(|home| !told.contains(home) && *home != author.place))
    }

    /// Everyone who ever made such a statement about an object, with what is to be expected of each.
    pub(crate) fn statements(&self, kind: Kind, about: &[u8; 32]) -> BTreeMap<Who, Expected> {
        let Some(by_actor) = self.statements.get(&(kind, *about)) else { return BTreeMap::new() };
        by_actor.iter().map(|(who, chain)| (*who, self.expected(chain))).collect()
    }

    /// What is to be expected after a chain of statements and withdrawals, in their order: the last counts, until it is withdrawn.
    fn expected(&self, chain: &[usize]) -> Expected {
        let (mut live, mut overtaken) = (None, false);
        for said in chain.iter().map(|at| &self.said[*at]) {
            if let Some(doubt) = self.doubt_about(said) {
                return Expected::Any(doubt);
            }
            match &said.content {
                Content::Retract(retract) if live == Some(retract.object) => live = None,
                Content::Retract(_) => {}
                _ => (overtaken, live) = (overtaken || live.is_some(), Some(said.id)),
            }
        }
        match (live, overtaken) {
            (None, true) => Expected::Any(Doubt::Overtaken),
            _ => Expected::Exactly(live),
        }
    }

    /// What is to be expected of a comment: that it is there, or that it is not.
    pub(crate) fn expected_comment(&self, said: &Said) -> Expected {
        let Content::Comment(comment) = &said.content else { return Expected::Exactly(None) };
        let retract = self.retracts.get(&said.id).map(|at| &self.said[*at]);
        let doubt = self.doubt_about(said).or_else(|| retract.and_then(|retract| self.doubt_about(retract)));
        let doubt = doubt.or_else(|| self.doubt_about_object(&comment.root.id)).or_else(|| self.doubt_about_object(&comment.parent.id));
        let owners = [&comment.root.actor, &comment.parent.actor];
        let unaware = owners.into_iter().filter_map(|owner| self.who(owner)).any(|owner| self.is_unaware(owner, said.who));
        let doubt = doubt.or(unaware.then_some(Doubt::Unaware));
        match doubt {
            // Withdrawn is withdrawn, whether it ever came or not.
            Some(Doubt::Object) if retract.is_some() => Expected::Exactly(None),
            Some(doubt) => Expected::Any(doubt),
            None => Expected::Exactly(retract.is_none().then_some(said.id)),
        }
    }

    /// What is to be expected of a post in a timeline where its author is followed.
    pub(crate) fn expected_post(&self, said: &Said) -> Expected {
        let retract = self.retracts.get(&said.id).map(|at| &self.said[*at]);
        let doubt = self.doubt_about(said).or_else(|| retract.and_then(|retract| self.doubt_about(retract)));
        match doubt {
            Some(doubt) => Expected::Any(doubt),
            None => Expected::Exactly(retract.is_none().then_some(said.id)),
        }
    }

    /// Versions of a record, oldest first, with the first.
    pub(crate) fn versions(&self, first: &RecordId) -> Vec<&Said> {
        self.said.iter().filter(|said| said.id == *first || said.content.revises() == Some(first)).collect()
    }

    /// Those who certainly follow an author, and those of whom it cannot be foreseen.
    pub(crate) fn followers(&self, author: &AccountId) -> BTreeMap<Who, Expected> {
        let followers = self.statements(Kind::Subscribe, author.hash());
        self.who(author).map_or_else(BTreeMap::new, |author| self.as_told(author, followers))
    }
}
