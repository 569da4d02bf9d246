//! Identical calls that share one flight: the table of the flights that are under way in this process, what is shared of an
//! answer while it comes, and those who read it.
//!
//! The leader of a flight publishes into it ([`Publisher`]); whoever asked for the same reads along from the beginning
//! ([`FlightReader`]). A flight knows bytes and nothing of what they say.

mod flight;
mod reader;
mod table;

pub use flight::{FlightClose, FlightHead, WholeAnswer};
pub use reader::{Begun, FlightReader};
pub use table::{Flights, Joined, Publisher, Seat};
