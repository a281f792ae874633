//! What a router costs in memory: thousands of them fit a small machine only as long as somebody looks.

use super::Router;
use super::vips::Vip;
use std::mem::size_of;

#[test]
fn a_router_and_its_address_stay_small() {
    let (router, address) = (size_of::<Router>(), size_of::<Vip>());
    assert!(
        router <= 456,
        "a router has {router} octets: what is rare belongs in a box, what is common in its policy"
    );
    assert!(address <= 80, "an address has {address} octets");
}
