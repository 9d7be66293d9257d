//! System tests: real servers on real sockets, and peers and people played over real HTTP.

mod delivery;
mod erasure;
mod federation;
mod keys;
mod network;
mod peer;
