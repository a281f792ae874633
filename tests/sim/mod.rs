//! Seeded simulation: 2 to 5 nodes run the production election core on lossy LANs and fake kernels. Everything,
//! faults included, follows from one seed; time is a number; a run is repeated byte for byte.
//!
//! A run alternates storms (faults at random), quiet (nothing new goes wrong; all must settle within the formulas)
//! and drills (one fault in a settled network, the takeover timed on both sides). `scenario` draws nodes and plans,
//! `faults` the storms, `world` runs the queue, `network` and `kernel` stand in for the real ones. `invariants`
//! watches the whole, `transitions` each change of state, `calls` each call of a core, `drill` the drills; what is
//! right is worked out in `model`, independently of the core.

pub mod addresses;
pub mod calls;
pub mod clock;
pub mod drill;
pub mod faults;
pub mod groups;
pub mod handover;
pub mod invariants;
pub mod kernel;
pub mod leases;
pub mod linger;
pub mod model;
pub mod network;
pub mod node;
pub mod prepare;
pub mod rng;
pub mod scenario;
pub mod telling;
pub mod trace;
pub mod transitions;
pub mod wires;
pub mod world;
