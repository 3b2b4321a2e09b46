//! Exploration: what decides, on any simulated runtime, and the loop around it.
//!
//! Every type here that decides implements [`Strategy`](ksplat_kernel::rt::Strategy); wrapped in a
//! [`StrategyScheduler`](ksplat_kernel::rt::StrategyScheduler) it is a shuttle scheduler. Samplers ([`Random`],
//! [`Pct`], [`Urw`], [`Pos`], [`Surw`], [`Directed`], [`Portfolio`]) never end; [`Dpor`], [`Bounded`] and [`Exhaustive`] do.
//!
//! An execution can be made again from its choice numbers with [`Replay`], whichever strategy made it first.

mod directed;
mod dpor;
mod drive;
mod exhaustive;
mod family;
mod pct;
mod portfolio;
mod pos;
mod random;
mod replay;
mod rng;
mod spec;
mod spread;
mod surw;
mod urw;

pub use directed::{Directed, Party};
pub use dpor::{Bounded, Coverage, Dpor};
pub use drive::{Ended, Explored, Limits, explore};
pub use exhaustive::Exhaustive;
pub use pct::Pct;
pub use portfolio::Portfolio;
pub use pos::Pos;
pub use random::Random;
pub use replay::Replay;
pub use rng::Rng;
pub use spec::{StrategyError, StrategySpec};
pub use surw::Surw;
pub use urw::Urw;
