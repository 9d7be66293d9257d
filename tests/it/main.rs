//! System tests: real servers on real sockets, and peers and people played over real HTTP.

mod boundary;
mod catchup;
mod delivery;
mod durability;
mod erasure;
mod federation;
mod healing;
mod hostile;
mod keys;
mod moving;
mod network;
mod people;
mod simulation;
mod vectors;

use network::peer;
