//! System tests: real servers on real sockets, and peers and people played over real HTTP.

mod boundary;
mod catchup;
mod delivery;
mod durability;
mod erasure;
mod federation;
mod healing;
mod keys;
mod network;
mod peer;
mod people;
mod ssrf;
mod vectors;
mod witness;
