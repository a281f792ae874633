//! An allocator that counts what is in use, for tests of what things cost: it fails for a few octets too many. A test
//! program that has it holds one test, for threads would count each other's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Octets that are in use, each block as large as glibc makes it: a word more, in steps of sixteen, 32 at least.
static IN_USE: AtomicUsize = AtomicUsize::new(0);

struct Counting;

fn block(layout: Layout) -> usize {
    (layout.size() + 8).next_multiple_of(16).max(32)
}

// SAFETY: everything is the system allocator's; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(block(layout), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(block(layout), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Octets in use.
pub fn in_use() -> usize {
    IN_USE.load(Ordering::Relaxed)
}
