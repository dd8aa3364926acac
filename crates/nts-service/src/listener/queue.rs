//! Connections that have to make room for others, in the order of their arrival.
//!
//! Pure: what is kept for each connection is up to the caller.

use std::collections::BTreeMap;

/// Names a connection; never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// See the module.
#[derive(Debug)]
pub(super) struct Queue<T> {
    waiting: BTreeMap<Ticket, T>,
    next: u64,
}

impl<T> Queue<T> {
    /// An empty queue.
    pub(super) fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            next: 0,
        }
    }

    /// Another connection, the youngest.
    pub(super) fn push(&mut self, value: T) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.waiting.insert(ticket, value);
        ticket
    }

    /// Takes the connection out; `None` if it is not there any more.
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<T> {
        self.waiting.remove(&ticket)
    }

    /// Takes the oldest one out.
    pub(super) fn pop_oldest(&mut self) -> Option<T> {
        self.waiting.pop_first().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_those_that_are_left_goes_first() {
        let mut queue = Queue::new();
        let tickets = ["a", "b", "c", "d"].map(|name| queue.push(name));
        assert_eq!(queue.remove(tickets[0]), Some("a"));
        assert_eq!(queue.remove(tickets[2]), Some("c"));
        assert_eq!(queue.remove(tickets[2]), None);
        queue.push("e");
        let order: Vec<_> = std::iter::from_fn(|| queue.pop_oldest()).collect();
        assert_eq!(order, ["b", "d", "e"]);
        assert_eq!(queue.remove(tickets[1]), None);
    }
}
