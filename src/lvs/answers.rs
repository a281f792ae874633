//! What checks have said last, by question. There may be a hundred thousand, so each takes as little room as it can.

use crate::plan::check::{Question, WeightChange};
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

/// A real server of the plan in force: its virtual server, and which of that, both by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asker {
    virtual_server: u32,
    server: u32,
}

impl Asker {
    /// `None` past four thousand million: no frame holds such a plan.
    pub(super) fn new(virtual_server: usize, server: usize) -> Option<Asker> {
        Some(Asker { virtual_server: virtual_server.try_into().ok()?, server: server.try_into().ok()? })
    }

    /// Virtual server and real server.
    pub(super) fn places(self) -> (usize, usize) {
        (self.virtual_server as usize, self.server as usize)
    }
}

/// What is known about a question.
// What is hardly ever there is a word.
#[allow(clippy::box_collection)]
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Works, or does not and why.
    pub(super) last: Option<Result<(), Box<str>>>,
    /// What it says of the weight.
    pub(super) change: Option<WeightChange>,
    /// Who asked it: most questions are asked by one.
    asker: Option<Asker>,
    others: Option<Box<Vec<Asker>>>,
}

impl Answer {
    /// Who asks it.
    pub(super) fn askers(&self) -> Vec<Asker> {
        self.asker.into_iter().chain(self.others.iter().flat_map(|others| others.iter().copied())).collect()
    }

    fn add(&mut self, asker: Asker) {
        let last = self.others.as_ref().and_then(|others| others.last()).copied().or(self.asker);
        match last {
            None => self.asker = Some(asker),
            Some(last) if last == asker => {}
            Some(_) => self.others.get_or_insert_default().push(asker),
        }
    }
}

/// All of them. The map, which has room for twice as many after it grew, holds numbers only. Its hasher begins alike in
/// every run.
#[derive(Debug, Default)]
pub(super) struct Answers {
    numbers: HashMap<Arc<Question>, u32, BuildHasherDefault<DefaultHasher>>,
    all: Vec<Answer>,
}

impl Answers {
    /// Questions of another plan, each with who asks it; what is known of them counts on. What was known hangs on the
    /// question of the new plan from now on, and no other is kept.
    pub(super) fn of_plan<'a>(
        questions: impl Iterator<Item = (&'a Arc<Question>, Asker)> + Clone,
        mut old: Answers,
    ) -> Answers {
        let mut new = Answers::default();
        new.numbers.reserve(questions.clone().count());
        for (question, asker) in questions {
            let number = match new.numbers.get(question) {
                Some(number) => *number as usize,
                None => {
                    let known = old.get_mut(question).map(std::mem::take).unwrap_or_default();
                    let number = new.all.len();
                    new.all.push(Answer { asker: None, others: None, ..known });
                    // As many as a plan has, see `Asker::new`.
                    new.numbers.insert(question.clone(), u32::try_from(number).unwrap_or(u32::MAX));
                    number
                }
            };
            if let Some(answer) = new.all.get_mut(number) {
                answer.add(asker);
            }
        }
        new.all.shrink_to_fit();
        new
    }

    /// What is known about `question`.
    pub(super) fn get(&self, question: &Question) -> Option<&Answer> {
        self.numbers.get(question).and_then(|number| self.all.get(*number as usize))
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, question: &Question) -> Option<&mut Answer> {
        self.numbers.get(question).and_then(|number| self.all.get_mut(*number as usize))
    }

    /// All, to change them.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&Question, &mut Answer)> {
        let mut questions: Vec<Option<&Question>> = vec![None; self.all.len()];
        for (question, number) in &self.numbers {
            if let Some(place) = questions.get_mut(*number as usize) {
                *place = Some(question);
            }
        }
        questions.into_iter().flatten().zip(&mut self.all)
    }
}
