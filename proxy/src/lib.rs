//! The data plane: one call's life is one folder walk, from `listener` through `call` to `account`.

pub mod account;
pub mod admin;
mod api;
pub mod balance;
pub mod cache;
pub mod call;
pub mod compression;
pub mod count;
pub mod drain;
pub mod endpoint;
pub mod errors;
mod follow;
pub mod listener;
pub mod memory;
mod models;
pub mod outward;
mod persistent;
pub mod probe;
pub mod process;
pub mod redis;
pub mod route;
pub mod settings;
pub mod source;
pub mod state;
pub mod upstream;
pub mod worker;
