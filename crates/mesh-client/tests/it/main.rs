//! The client against servers that misbehave: a tiny stub on loopback, port chosen by the system. Real servers are in the system tests.

mod answers;
mod elsewhere;
mod follow;
mod keys;
mod stub;
