//! What those who run a domain do.

mod moderation;
mod tls;
