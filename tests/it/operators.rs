//! What those who run a domain do.

mod backup;
mod moderation;
mod tls;
mod upgrade;
