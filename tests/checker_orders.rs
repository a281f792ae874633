//! Orders by hand and the kernel's table: the answer comes when the table has it, or says why it has not, and while it does not
//! come nothing else waits. The table is a stand-in that refuses, or takes its time.

#[allow(dead_code, reason = "each test program uses what it needs")]
mod checker_support;

use checker_support::{Role, checker, key, own_address, real, virtual_server};
use holdfast::link::{FromChecker, ToChecker};
use holdfast::lvs::reconcile;
use holdfast::lvs::sync::SyncDaemon;
use holdfast::lvs::table::{Table, TableOp};
use holdfast::lvs::traffic::orders::Order;
use holdfast::plan::check::CheckKind;
use holdfast::plan::lvs::{RealServer, ServiceRules, SyncRole, Timeouts};
use holdfast::report::TrafficOutcome;
use holdfast::role::checker::run_with;
use holdfast::role::ipvs_worker::{Standing, StoreError, TableStore};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Clone, Default)]
struct Kernel {
    table: Arc<Mutex<Table>>,
    /// Changes wait for it.
    gate: Arc<Mutex<()>>,
    refuses: Arc<Mutex<bool>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panics with it")
}

impl TableStore for Kernel {
    fn dump(&mut self) -> Result<Table, StoreError> {
        Ok(lock(&self.table).clone())
    }

    fn apply(&mut self, ops: &[TableOp]) -> Vec<Result<(), StoreError>> {
        let _open = lock(&self.gate);
        let change = |op| {
            if *lock(&self.refuses) {
                return Err(StoreError("not today".into()));
            }
            reconcile::apply(&mut lock(&self.table), op);
            Ok(())
        };
        ops.iter().map(change).collect()
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn timeouts(&mut self) -> Result<Timeouts, StoreError> {
        Ok(Timeouts::default())
    }

    fn set_timeouts(&mut self, _: &Timeouts) -> Result<(), StoreError> {
        Ok(())
    }

    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, StoreError> {
        Ok(Vec::new())
    }

    fn start_daemon(&mut self, _: &SyncDaemon) -> Result<(), StoreError> {
        Ok(())
    }

    fn stop_daemon(&mut self, _: SyncRole) -> Result<(), StoreError> {
        Ok(())
    }

    fn set_rules(&mut self, _: &ServiceRules, _: &mut Standing) -> Result<(), StoreError> {
        Ok(())
    }

    fn has_rules(&mut self, _: &ServiceRules, _: &mut Standing) -> Result<bool, StoreError> {
        Ok(true)
    }
}

/// A role with one server that nothing checks.
struct Lab {
    kernel: Kernel,
    role: Role,
    server: SocketAddr,
}

impl Lab {
    fn start() -> Lab {
        let kernel = Kernel::default();
        let theirs = kernel.clone();
        let opener = move || Ok(Box::new(theirs.clone()) as Box<dyn TableStore>);
        let mut role = Role::start(|link| run_with(link, Box::new(opener)));
        let server = own_address();
        let unchecked = RealServer { checkers: vec![], ..real(checker(CheckKind::Tcp, server)) };
        role.plan(1, vec![virtual_server(vec![unchecked])]);
        Lab { kernel, role, server }
    }

    fn weight(&self) -> u32 {
        lock(&self.kernel.table).services[&key(80)].destinations[&self.server].weight
    }

    fn order(&mut self, number: u64, weight: u32) {
        let order = Order::Weight {
            virtual_server: "198.51.100.1:80".into(),
            server: self.server.to_string(),
            weight: Some(weight),
            ramp_ms: 0,
            until: None,
            force: true,
        };
        self.role.tell(&ToChecker::Traffic(number, order));
        assert!(matches!(self.role.hear(), FromChecker::Overrides(_)), "it is kept at once");
    }

    fn answer(&mut self, number: u64) -> TrafficOutcome {
        match self.role.hear() {
            FromChecker::Traffic(answered, Ok(outcome)) if answered == number => *outcome,
            other => panic!("waited for the answer to {number}, heard {other:?}"),
        }
    }

    fn lives(&mut self) {
        self.role.tell(&ToChecker::AreYouThere(1));
        assert_eq!(self.role.hear(), FromChecker::Alive(1));
    }
}

#[test]
fn an_order_is_answered_when_the_table_has_it() {
    let mut lab = Lab::start();
    for weight in 2..200 {
        lab.order(weight.into(), weight);
        assert_eq!(lab.answer(weight.into()).trouble, [""; 0]);
        assert_eq!(lab.weight(), weight);
    }
    // One that changes nothing has nothing to wait for.
    lab.order(1000, 199);
    assert_eq!(lab.answer(1000).trouble, [""; 0]);
    lab.role.stop(false);
}

#[test]
fn a_refusal_of_the_kernel_is_in_the_answer() {
    let mut lab = Lab::start();
    *lock(&lab.kernel.refuses) = true;
    lab.order(1, 7);
    assert_eq!(lab.answer(1).trouble, ["the kernel's table does not follow: not today"]);
    assert_eq!(lab.weight(), 1);
    lab.role.stop(false);
}

#[test]
fn a_table_that_takes_its_time_holds_up_nothing_but_the_answer_and_that_not_for_long() {
    let mut lab = Lab::start();
    let gate = lab.kernel.gate.clone();
    let closed = lock(&gate);
    lab.order(1, 7);
    lab.order(2, 8);
    lab.lives();
    for number in [1, 2] {
        let trouble = lab.answer(number).trouble;
        assert!(matches!(&trouble[..], [late] if late.contains("does not have it yet")), "{trouble:?}");
    }
    drop(closed);
    lab.order(3, 9);
    assert_eq!(lab.answer(3).trouble, [""; 0]);
    assert_eq!(lab.weight(), 9);
    lab.role.stop(false);
}
