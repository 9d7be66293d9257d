//! mesh-proto against its specification: the vectors of `spec/vectors`, Wycheproof, properties, fuzz bodies, the tables of `spec/`.

mod fixture;
mod fuzz;
mod properties;
mod tables;
mod vectors;
mod wycheproof;
