//! `fixtures/first-network.toml`: who lives on the first network and what they do, as arguments of `mesh`.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The whole script.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Script {
    pub(super) person: Vec<Person>,
    pub(super) step: Vec<Step>,
}

/// An account, registered before the first step.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) address: String,
}

/// One call of `mesh` by one person.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    pub(super) who: String,
    /// Arguments; `{label}` stands for the URI of an earlier step.
    pub(super) does: Vec<String>,
    /// A name for the URI that this step prints.
    pub(super) label: Option<String>,
}

impl Script {
    /// Reads a script and checks that every person and label is known where it is used.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let script: Script = toml::from_str(text)?;
        let people: BTreeSet<&str> = script.person.iter().map(|person| person.name.as_str()).collect();
        let mut labels = BTreeMap::new();
        for (index, step) in script.step.iter().enumerate() {
            let place = || format!("step {}", index + 1);
            if !people.contains(step.who.as_str()) {
                bail!("{}: nobody is called `{}`", place(), step.who);
            }
            step.arguments(&labels).with_context(place)?;
            if let Some(label) = &step.label
                && labels.insert(label.clone(), String::new()).is_some()
            {
                bail!("{}: the label `{label}` is taken", place());
            }
        }
        Ok(script)
    }
}

impl Step {
    /// The arguments with every label replaced.
    pub(super) fn arguments(&self, labels: &BTreeMap<String, String>) -> Result<Vec<String>> {
        self.does.iter().map(|argument| fill(argument, labels)).collect()
    }
}

fn fill(argument: &str, labels: &BTreeMap<String, String>) -> Result<String> {
    let mut filled = String::new();
    let mut rest = argument;
    while let Some((before, after)) = rest.split_once('{') {
        let (label, after) = after.split_once('}').with_context(|| format!("`{{` without `}}` in `{argument}`"))?;
        let uri = labels.get(label).with_context(|| format!("no earlier step has the label `{label}`"))?;
        filled.push_str(before);
        filled.push_str(uri);
        rest = after;
    }
    Ok(filled + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERSON: &str = "[[person]]\nname = \"ada\"\naddress = \"ada@one.localhost:8001\"\n";

    fn check(steps: &str, error: Option<&str>) {
        let result = Script::parse(&format!("{PERSON}{steps}"));
        let found = result.err().map(|error| format!("{error:#}"));
        match error {
            None => assert_eq!(found, None),
            Some(part) => assert!(found.as_deref().is_some_and(|text| text.contains(part)), "{found:?}"),
        }
    }

    #[test]
    fn labels_stand_for_uris() {
        let labels = BTreeMap::from([("tea".to_owned(), "mesh://x/1".to_owned())]);
        assert_eq!(fill("see {tea}, {tea}!", &labels).unwrap(), "see mesh://x/1, mesh://x/1!");
        assert!(fill("{coffee}", &labels).is_err());
    }

    #[test]
    fn mistakes_are_found_before_anything_is_posted() {
        check(
            "[[step]]\nwho = \"ada\"\ndoes = [\"post\", \"x\"]\nlabel = \"a\"\n[[step]]\nwho = \"ada\"\ndoes = [\"like\", \"{a}\"]\n",
            None,
        );
        check("[[step]]\nwho = \"bob\"\ndoes = [\"post\", \"x\"]\n", Some("nobody"));
        check("[[step]]\nwho = \"ada\"\ndoes = [\"like\", \"{a}\"]\n", Some("no earlier step"));
        check("[[step]]\nwho = \"ada\"\ndoes = [\"post\", \"x\"]\nlable = \"a\"\n", Some("lable"));
    }

    #[test]
    fn the_first_network_is_well_formed() {
        let script = Script::parse(&std::fs::read_to_string(crate::workspace::root().join(super::super::people::SCRIPT)).unwrap()).unwrap();
        for domain in [super::super::ONE, super::super::TWO] {
            assert!(script.person.iter().any(|person| person.address == format!("{}@{domain}", person.name)), "nobody lives on {domain}");
        }
    }
}
