//! Who has seen whose keys: what the sources would say if they were asked, whatever the pool
//! believes that it did.

use nts_pool_ke::selection::SourceIndex;

/// Of each user, in the order in which they came, who has seen his keys.
#[derive(Debug, Default)]
pub(super) struct Witness {
    seen_by: Vec<Option<SourceIndex>>,
    /// Users whose keys were seen at all.
    pub(super) users: u64,
    /// How often keys were seen once more by the same source.
    pub(super) again: u64,
    /// How often keys were seen by a source after another one had seen them.
    pub(super) betrayed: u64,
}

impl Witness {
    /// Another user comes. Gives his number.
    pub(super) fn user_came(&mut self) -> usize {
        self.seen_by.push(None);
        self.seen_by.len() - 1
    }

    /// The source was sent this user's keys; whether it makes anything of them is another matter.
    pub(super) fn saw(&mut self, source: SourceIndex, user: usize) {
        match self.seen_by[user].replace(source) {
            None => self.users += 1,
            Some(first) if first == source => self.again += 1,
            Some(_) => self.betrayed += 1,
        }
    }
}
