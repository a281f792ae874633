//! Seeded simulation: 2 to 5 nodes run the production election core on lossy LANs and fake kernels. Everything,
//! faults included, follows from one seed; time is a number; a run is repeated byte for byte.

pub mod calls;
pub mod clock;
pub mod drill;
pub mod faults;
pub mod invariants;
pub mod kernel;
pub mod model;
pub mod network;
pub mod node;
pub mod rng;
pub mod scenario;
pub mod telling;
pub mod trace;
pub mod transitions;
pub mod wires;
pub mod world;
