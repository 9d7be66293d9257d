//! Finding what people of this domain say.

use crate::App;
use crate::extract::Query;
use crate::problem::Answer;
use axum::Json;
use axum::extract::State;
use mesh_node::searching::{Asked, Match, Sort};
use mesh_proto::api::{SearchPage, Suggestions};
use serde::Deserialize;

/// Which words must be there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Words {
    /// All of them; if that finds little, most of them or words like them.
    #[default]
    All,
    /// Any: the more and the rarer, the better.
    Any,
}

/// What comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Order {
    /// What fits best.
    #[default]
    Best,
    /// What is newest.
    New,
}

/// What is searched for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// The query: words, "phrases", -exclusions and filters. docs/search.md.
    q: String,
    /// `all` or `any` words; `all` unless told.
    #[serde(default)]
    words: Words,
    /// `best` or `new` first; `best` unless told.
    #[serde(default)]
    sort: Order,
    /// `next` of the page before.
    after: Option<String>,
    /// Results wanted, at most 50; 20 unless told.
    limit: Option<usize>,
}

impl From<Wanted> for Asked {
    fn from(wanted: Wanted) -> Self {
        Self {
            query: wanted.q,
            matching: if wanted.words == Words::Any { Match::Any } else { Match::All },
            sort: if wanted.sort == Order::New { Sort::New } else { Sort::Best },
            after: wanted.after,
            limit: wanted.limit.unwrap_or(20),
        }
    }
}

/// One page of what people of this domain say about something.
#[utoipa::path(get, path = "/api/v1/search", params(Wanted), responses((status = 200, body = SearchPage), (status = 400)))]
pub(crate) async fn find(State(app): State<App>, Query(wanted): Query<Wanted>) -> Answer<Json<SearchPage>> {
    Ok(Json(app.node.searching.here(&wanted.into()).await?))
}

/// What is being typed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Typed {
    /// The query as far as it was typed.
    q: String,
    /// Suggestions wanted, at most 10; 5 unless told.
    limit: Option<usize>,
}

/// How a query may go on.
#[utoipa::path(get, path = "/api/v1/search/suggestions", params(Typed), responses((status = 200, body = Suggestions)))]
pub(crate) async fn suggest(State(app): State<App>, Query(typed): Query<Typed>) -> Answer<Json<Suggestions>> {
    let queries = app.node.searching.suggest(typed.q, typed.limit.unwrap_or(5)).await?;
    Ok(Json(Suggestions { queries }))
}
