//! `mesh`
fn main() {}
