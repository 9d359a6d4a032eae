//! Many requests at once: split into messages, several under way, halved where the server wants less.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kms_protocol::Version;
use kms_protocol::enums::ResultReason;
use kms_protocol::operation::Request;
use tokio::task::JoinSet;

use crate::client::{Client, Inner};
use crate::endpoints::Reply;
use crate::error::Error;
use crate::limits;
use crate::message::{Answer, EncodedItem, is_worth_halving, read_answer, read_payload};

/// Items that go into one message, by their places in the whole batch.
type Group = Vec<usize>;

impl Client {
    /// Asks many requests of one kind at once; answers each, in their order. Each succeeds or fails for itself.
    ///
    /// They go out in as few messages as the server takes. What must not be repeated is sent at most once.
    pub async fn batch<R: Request>(&self, requests: &[R]) -> Vec<Result<R::Response, Error>> {
        let version = match self.version().await {
            Ok(version) => version,
            Err(error) => return requests.iter().map(|_| Err(error.clone())).collect(),
        };
        let first = self.inner.ids(requests.len());
        let items: Vec<_> = (0..)
            .zip(requests)
            .map(|(at, request)| EncodedItem::new(request, first.wrapping_add(at), version))
            .collect();
        let mut batch = Batch::<R>::new(Arc::clone(&self.inner), Arc::new(items), version);
        batch.run().await;
        batch.finish()
    }
}

struct Batch<R: Request> {
    inner: Arc<Inner>,
    items: Arc<Vec<EncodedItem>>,
    version: Version,
    repeatable: bool,
    waiting: VecDeque<Group>,
    /// Items in the smallest message that was refused as a whole.
    smallest_refused: usize,
    /// Items in the largest message that was worked.
    largest_taken: usize,
    done: Vec<Option<Result<R::Response, Error>>>,
}

impl<R: Request> Batch<R> {
    fn new(inner: Arc<Inner>, items: Arc<Vec<EncodedItem>>, version: Version) -> Self {
        let limit = inner.batch_limit.load(Ordering::Relaxed);
        let waiting = split(items.iter().map(EncodedItem::len), limit);
        let mut done = Vec::new();
        done.resize_with(items.len(), || None);
        let repeatable = items.iter().all(|item| item.repeatable);
        Self {
            inner,
            items,
            version,
            repeatable,
            waiting,
            smallest_refused: usize::MAX,
            largest_taken: 0,
            done,
        }
    }

    async fn run(&mut self) {
        let mut running: JoinSet<(Group, Result<Reply, Error>)> = JoinSet::new();
        loop {
            while running.len() < limits::MESSAGES_AT_ONCE
                && let Some(group) = self.next_group()
            {
                let (inner, items, version) =
                    (Arc::clone(&self.inner), Arc::clone(&self.items), self.version);
                running.spawn(async move {
                    let asked: Vec<_> = group.iter().filter_map(|at| items.get(*at)).collect();
                    let reply = inner.send(&asked, version, inner.deadline()).await;
                    (group, reply)
                });
            }
            match running.join_next().await {
                Some(Ok((group, reply))) => self.answered(group, reply),
                // A task that panicked or was cancelled leaves its items unanswered: see `finish`.
                Some(Err(_)) => {}
                None => return,
            }
        }
    }

    /// The next group, cut to what the server takes as far as that is known by now.
    fn next_group(&mut self) -> Option<Group> {
        let mut group = self.waiting.pop_front()?;
        let limit = if self.is_limited() { (self.smallest_refused / 2).max(1) } else { usize::MAX };
        if group.len() > limit {
            self.waiting.push_front(group.split_off(limit));
        }
        Some(group)
    }

    /// Whether it is their size for which messages were refused, and not something in them.
    fn is_limited(&self) -> bool {
        self.smallest_refused < usize::MAX && self.largest_taken < self.smallest_refused
    }

    fn answered(&mut self, group: Group, reply: Result<Reply, Error>) {
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) => return self.all(&group, &error),
        };
        let items = Arc::clone(&self.items);
        let asked: Vec<_> = group.iter().filter_map(|at| items.get(*at)).collect();
        match read_answer(reply.bytes.expose(), &asked, self.version) {
            Err(error) => {
                let error = self.inner.unsure(&asked, error);
                self.all(&group, &error);
            }
            Ok(Answer::Whole(refusal)) => {
                if group.len() > 1 && is_worth_halving(refusal.reason, self.repeatable) {
                    self.halve(group);
                } else {
                    self.all(&group, &Error::refused(*refusal));
                }
                reply.accept();
            }
            Ok(Answer::Each(answers)) => {
                let sane = self.each(&group, &asked, answers);
                if sane {
                    reply.accept();
                }
            }
        }
    }

    /// Takes the answers to the items of a group; whether all of them could be read.
    fn each(
        &mut self,
        group: &[usize],
        asked: &[&EncodedItem],
        answers: Vec<Option<kms_protocol::message::ResponseItem<'_>>>,
    ) -> bool {
        let mut again = Group::new();
        let mut too_large = false;
        let mut sane = true;
        for ((at, item), answer) in group.iter().zip(asked).zip(answers) {
            let result = match answer {
                // The server stopped at an item before, though asked to go on: the item was not worked. A promise that is
                // not good enough for what must not be repeated.
                None if self.repeatable => {
                    again.push(*at);
                    continue;
                }
                None => Err(Error::protocol(format!("it left {} unanswered", item.operation))),
                Some(answer)
                    if answer.result_reason == Some(ResultReason::ResponseTooLarge)
                        && group.len() > 1
                        && self.repeatable =>
                {
                    too_large = true;
                    again.push(*at);
                    continue;
                }
                Some(answer) => read_payload::<R>(answer, item, self.version),
            };
            let result = match result {
                Err(error @ Error::Protocol { .. }) => {
                    sane = false;
                    Err(self.inner.unsure(&[*item], error))
                }
                result => result,
            };
            self.put(*at, result);
        }
        if too_large && again.len() == group.len() {
            self.halve(again);
            return sane;
        }
        self.largest_taken = self.largest_taken.max(group.len() - again.len());
        if !again.is_empty() {
            self.waiting.push_back(again);
        }
        sane
    }

    fn halve(&mut self, mut group: Group) {
        self.smallest_refused = self.smallest_refused.min(group.len());
        let half = group.len().div_ceil(2);
        let rest = group.split_off(half);
        self.waiting.push_back(group);
        if !rest.is_empty() {
            self.waiting.push_back(rest);
        }
    }

    fn all(&mut self, group: &[usize], error: &Error) {
        for at in group {
            self.put(*at, Err(error.clone()));
        }
    }

    fn put(&mut self, at: usize, result: Result<R::Response, Error>) {
        if let Some(slot) = self.done.get_mut(at) {
            *slot = Some(result);
        }
    }

    fn finish(self) -> Vec<Result<R::Response, Error>> {
        // A batch below the limit in force says nothing about it: two items that do not go together, for what they hold
        // or for the size of their answers, would make it one for all that comes.
        let limit = self.inner.batch_limit.load(Ordering::Relaxed);
        if self.items.len() >= limit && self.is_limited() && self.largest_taken > 0 {
            self.inner.batch_limit.fetch_min(self.largest_taken, Ordering::Relaxed);
        }
        let unanswered = || Err(Error::protocol(format!("{} was not answered", R::OPERATION)));
        self.done.into_iter().map(|result| result.unwrap_or_else(unanswered)).collect()
    }
}

/// Groups of at most `limit` items whose message stays below the size limit.
fn split(sizes: impl Iterator<Item = usize>, limit: usize) -> VecDeque<Group> {
    let mut groups = VecDeque::new();
    let mut group = Group::new();
    let mut bytes = limits::HEADER;
    for (at, size) in sizes.enumerate() {
        if !group.is_empty() && (group.len() >= limit || bytes + size > limits::REQUEST) {
            groups.push_back(core::mem::take(&mut group));
            bytes = limits::HEADER;
        }
        group.push(at);
        bytes += size;
    }
    if !group.is_empty() {
        groups.push_back(group);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::split;
    use crate::limits;

    #[test]
    fn groups_keep_to_both_limits_and_hold_every_item_once() {
        let sizes = [limits::REQUEST / 2, limits::REQUEST / 3, limits::REQUEST / 3, 10, 10, 10, 10];
        let groups = split(sizes.into_iter(), 3);
        assert_eq!(groups, [vec![0, 1], vec![2, 3, 4], vec![5, 6]]);
    }

    #[test]
    fn an_item_above_the_limit_goes_alone() {
        assert_eq!(split([5, 2 * limits::REQUEST, 5].into_iter(), 100), [vec![0], vec![1], vec![2]]);
    }
}
