//! How the fields of a signed body are read where serde alone would be too kind: it takes `null` for an absent field, an array for an
//! object, `{"word":null}` for a word, and a set for a list with repetitions. Every reader of a body must agree, so none of these pass.

use crate::limits::CRIT_MAX;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeOwned, Error, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

/// An optional field: absent, or a value; never `null`.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A field that is a JSON object, never an array of its members.
pub(crate) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Object<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_map(Object(PhantomData))
}

/// An optional field that is a JSON object when it is there.
pub(crate) fn present_object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    object(deserializer).map(Some)
}

/// A field that is one word of a closed list, as a JSON string.
pub(crate) fn word<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    let word: StrDeserializer<'_, D::Error> = text.as_str().into_deserializer();
    T::deserialize(word)
}

/// A list of names, none twice.
pub(crate) fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<String>, D::Error> {
    let mut set = BTreeSet::new();
    for name in Vec::<String>::deserialize(deserializer)? {
        if !set.insert(name) {
            return Err(D::Error::custom("a name stands twice in the list"));
        }
    }
    Ok(set)
}

/// What is wrong with a list of critical names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CritError {
    /// More than [`CRIT_MAX`] names.
    TooLong,
    /// This name is not one that the reader knows.
    Unknown(String),
}

/// Checks that every critical name is known.
pub(crate) fn check_crit(crit: &BTreeSet<String>, known: impl Fn(&str) -> bool) -> Result<(), CritError> {
    if crit.len() > CRIT_MAX {
        return Err(CritError::TooLong);
    }
    match crit.iter().find(|name| !known(name)) {
        Some(unknown) => Err(CritError::Unknown(unknown.clone())),
        None => Ok(()),
    }
}
