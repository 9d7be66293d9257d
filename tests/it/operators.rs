//! What operators do with a whole domain: back it up, restore it, upgrade it.

mod backup;
mod upgrade;
