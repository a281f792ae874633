//! The election core: pure, for all virtual routers of a node. Events and time go in, actions come out.
//!
//! A driver (the vrrp role, a scenario, the simulation) calls three kinds of method on [`Core`]:
//! `handle(event, now, &mut actions)`, `handle_timeout(now, &mut actions)` and getters such as
//! `next_timeout()`. It must feed packets that are already queued before it reports a timeout, so that a
//! process that wakes late hears the current Master before it claims the address.

mod event;

pub use event::{
    Action, AddressOp, Command, Event, Frame, InterfaceFacts, KernelError, LogLevel, OpId, Received,
    RouterId, State, Transition, TransitionCause,
};
