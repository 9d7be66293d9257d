//! Reading a body in one pass: the members of every record go to its head, all others to the kind's own fields.

use super::Head;
use crate::envelope::body::names;
use crate::json::JsonError;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// Reads text that [`crate::json::check`] has passed.
pub(super) fn parse<'de, C: Deserialize<'de>>(text: &'de str) -> Result<(Head, C), JsonError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let parsed = json.deserialize_map(Body(PhantomData));
    parsed.map_err(|error| JsonError::Shape(error.to_string()))
}

struct Body<C>(PhantomData<C>);

impl<'de, C: Deserialize<'de>> Visitor<'de> for Body<C> {
    type Value = (Head, C);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let mut head = PartialHead::default();
        let content = C::deserialize(MapAccessDeserializer::new(Members { map, head: &mut head }))?;
        Ok((head.complete()?, content))
    }
}

/// The members of an object, without those that belong to the head, which are read on the way.
struct Members<'a, A> {
    map: A,
    head: &'a mut PartialHead,
}

#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(Name(name)) = self.map.next_key()? {
            if !self.head.read(&name, &mut self.map)? {
                let name: StrDeserializer<'_, A::Error> = name.as_ref().into_deserializer();
                return seed.deserialize(name).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Names(#[serde(deserialize_with = "names")] std::collections::BTreeSet<String>);

/// Declares the head's members once: their slots, how they are read, and that all but `crit` are needed.
macro_rules! head {
    ($($name:ident: $type:ty),*) => {
        #[derive(Default)]
        struct PartialHead { $($name: Option<$type>,)* crit: Option<Names> }

        impl PartialHead {
            /// Reads the value of a member if it belongs to the head; answers whether it does.
            fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
                match name {
                    $(stringify!($name) => self.$name = Some(map.next_value()?),)*
                    "crit" => self.crit = Some(map.next_value()?),
                    _ => return Ok(false),
                }
                Ok(true)
            }

            fn complete<E: Error>(self) -> Result<Head, E> {
                Ok(Head {
                    $($name: self.$name.ok_or_else(|| E::missing_field(stringify!($name)))?,)*
                    crit: self.crit.map(|Names(crit)| crit).unwrap_or_default(),
                })
            }
        }
    };
}

head! {
    actor: crate::key::AccountId,
    device: crate::key::KeyId,
    keys: crate::envelope::RecordId,
    at: u64,
    salt: crate::bytes::Salt
}
