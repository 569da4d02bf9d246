//! Identical calls that share one flight: the table of the flights that are under way in this process, what is shared of an
//! answer while it comes, and those who read it.
//!
//! The leader of a flight publishes into it ([`Publisher`]); whoever asked for the same reads along from the beginning
//! ([`FlightReader`]). A flight knows bytes and nothing of what they say.
//!
//! Of proxies that share a flight one holds its lease in Redis and leads; a further reader of it, the [`Relay`], tells
//! the others what comes. Another proxy publishes that into a flight of its own, whose readers know no difference ([`take_part`]).

mod expected;
mod flight;
mod follow;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod lease;
mod reader;
mod relay;
mod table;

pub use expected::ExpectedFlight;
pub use flight::{FlightClose, FlightHead, WholeAnswer};
pub use follow::{Part, take_part};
pub use lease::{RemoteCounts, RemoteFlights};
pub use reader::{Begun, FlightReader};
pub use relay::Relay;
pub use table::{Flights, Joined, Publisher, Seat};
