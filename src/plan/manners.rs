//! Equal manners of checks are held once: in a plan that is made, and in one that comes from a link.

use super::check::{Manner, Question};
use super::list;
use super::lvs::{RealServer, VirtualServer};
use serde::{Deserialize, Deserializer};
use std::collections::VecDeque;
use std::sync::Arc;

/// So many are remembered: more than one server has, few enough to look at for each of a hundred thousand checks.
const MOST: usize = 8;

/// The manners that were met last, of questions that are made one after the other.
#[derive(Debug, Default)]
pub struct Manners(VecDeque<Arc<Manner>>);

impl Manners {
    /// Lets what is asked have its manner in common with those before it.
    pub fn share(&mut self, asked: &mut impl Asked) {
        asked.each_question(&mut |question| self.share_one(question));
    }

    /// A question that somebody else holds keeps its own.
    fn share_one(&mut self, question: &mut Arc<Question>) {
        let Some(question) = Arc::get_mut(question) else { return };
        if let Some(known) = self.0.iter().find(|known| **known == question.manner) {
            question.manner = known.clone();
            return;
        }
        self.0.truncate(MOST - 1);
        self.0.push_front(question.manner.clone());
    }
}

/// What has checks.
pub trait Asked {
    /// Hands over each of its questions.
    fn each_question(&mut self, with: &mut impl FnMut(&mut Arc<Question>));
}

impl Asked for RealServer {
    fn each_question(&mut self, with: &mut impl FnMut(&mut Arc<Question>)) {
        self.checkers.iter_mut().for_each(|checker| with(&mut checker.question));
    }
}

impl Asked for VirtualServer {
    fn each_question(&mut self, with: &mut impl FnMut(&mut Arc<Question>)) {
        self.real_servers.iter_mut().for_each(|server| server.each_question(with));
    }
}

/// A list from a link, whose manners are shared as they come; it takes no more room than it needs.
pub(super) fn sharing<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Asked,
{
    let mut manners = Manners::default();
    list(from, |one| manners.share(one))
}

#[cfg(test)]
mod tests {
    use super::super::check::{CheckKind, CheckerPlan, Schedule, Target};
    use super::super::lvs::{ForwardingMethod, LvsPlan, RealServer, VirtualServer};
    use super::*;
    use std::collections::HashSet;
    use std::net::SocketAddr;
    use std::time::Duration;

    fn asks(kind: CheckKind, endpoint: SocketAddr) -> CheckerPlan {
        let schedule = Schedule {
            connect_timeout: Duration::from_millis(1500),
            ..Schedule::every(Duration::from_secs(6))
        };
        CheckerPlan::new(kind, Target::new(endpoint), schedule, false)
    }

    /// Three services of two servers with two checks each.
    fn plan() -> LvsPlan {
        let endpoint = |n: u8| SocketAddr::from(([192, 0, 2, n], 80));
        let server = |n| RealServer {
            checkers: vec![asks(CheckKind::Tcp, endpoint(n)), asks(CheckKind::Ping, endpoint(n))],
            endpoint: endpoint(n),
            weight: 1,
            forwarding: ForwardingMethod::DirectRouting,
            inhibit_on_failure: false,
            upper_threshold: 0,
            lower_threshold: 0,
            set: None,
            slow_start: Duration::ZERO,
        };
        let service =
            |n: u8| VirtualServer::new(String::new(), Vec::new(), vec![server(2 * n), server(2 * n + 1)]);
        LvsPlan { virtual_servers: (0..3).map(service).collect(), ..LvsPlan::default() }
    }

    fn held(plan: &mut LvsPlan) -> usize {
        let mut places = HashSet::new();
        let mut note = |question: &mut Arc<Question>| {
            places.insert(Arc::as_ptr(&question.manner));
        };
        plan.virtual_servers.iter_mut().for_each(|service| service.each_question(&mut note));
        places.len()
    }

    #[test]
    fn twelve_questions_of_two_manners_hold_two() {
        let mut plan = plan();
        assert_eq!(held(&mut plan), 12);
        let before = plan.clone();
        let mut manners = Manners::default();
        // A question that is held elsewhere as well stays as it is.
        plan.virtual_servers.iter_mut().for_each(|service| manners.share(service));
        assert_eq!(held(&mut plan), 12);
        let text = serde_json::to_string(&before).expect("it is written");
        let mut read: LvsPlan = serde_json::from_str(&text).expect("it is read");
        assert_eq!((held(&mut read), &read), (2, &before));
    }

    #[test]
    fn a_change_is_one_of_the_question_alone() {
        let mut read = plan();
        let mut manners = Manners::default();
        read.virtual_servers.iter_mut().for_each(|service| manners.share(service));
        assert_eq!(held(&mut read), 2);
        let changed = &mut read.virtual_servers[0].real_servers[0].checkers[0];
        changed.manner_mut().schedule.retry = 9;
        assert_eq!(read.virtual_servers[0].real_servers[1].checkers[0].schedule.retry, 1);
        assert_eq!(held(&mut read), 3);
    }

    #[test]
    fn what_is_remembered_has_a_limit() {
        let mut manners = Manners::default();
        for n in 0..3 * MOST {
            let mut check = asks(CheckKind::Bfd(n.to_string()), ([192, 0, 2, 1], 80).into());
            manners.share_one(&mut check.question);
        }
        assert_eq!(manners.0.len(), MOST);
    }
}
