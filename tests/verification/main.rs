//! Verification of the adapter under test, and of random networks of sizes that no other test
//! reaches.

#[path = "../common/mod.rs"]
mod common;

mod large;
mod long;
mod verification;
