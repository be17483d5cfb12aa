//! Finding devices and losing them.

#[path = "../common/mod.rs"]
mod common;

mod devices;
mod lost;
