//! The sled store does what the store in memory does, over any history, opened anew at any point of it.

use kms_server::store::{
    Batch, Delete, Hit, Index, Keys, MemoryStore, Order, Put, Scan, SledOptions, SledStore, Store, Term,
    limits,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

#[derive(Clone, Debug)]
enum Action {
    Commit { puts: Vec<(PutPlan, bool)>, deletes: Vec<&'static str> },
    Scan(Scan),
    Walk { after: Option<&'static str>, limit: usize },
    Reopen,
}

#[derive(Clone, Debug)]
struct PutPlan {
    id: &'static str,
    value: Vec<u8>,
    terms: Vec<Term>,
}

const IDS: [&str; 6] = ["a", "ab", "b", "b0", "c", "\u{e9}"];

fn key() -> impl Strategy<Value = Vec<u8>> {
    // Few keys, so that they meet, with the bytes that the encoding treats specially.
    prop_oneof![vec(select(vec![0, 1, 2, b'n', 0xff]), 0..3), Just(b"name".to_vec())]
}

fn term() -> impl Strategy<Value = Term> {
    let indexes = vec![Index::Name, Index::Name, Index::Group, Index::Due, Index::Rotation];
    (select(indexes), key()).prop_map(|(index, key)| Term { index, key })
}

fn put() -> impl Strategy<Value = PutPlan> {
    let sizes = vec![0, 3, 100, limits::CHUNK_BYTES, 3 * limits::CHUNK_BYTES];
    (select(IDS.to_vec()), select(sizes), any::<u8>(), vec(term(), 0..4))
        .prop_map(|(id, size, byte, terms)| PutPlan { id, value: vec![byte; size], terms })
}

fn scan() -> impl Strategy<Value = Scan> {
    let keys = prop_oneof![
        Just(Keys::All),
        key().prop_map(Keys::Exactly),
        key().prop_map(Keys::Prefix),
        (key(), key()).prop_map(|(from, below)| Keys::Between(from, below)),
    ];
    let order = select(vec![Order::Ascending, Order::Descending]);
    let hit = (key(), select(IDS.to_vec())).prop_map(|(key, id)| Hit { key, id: id.to_owned() });
    (select(Index::ALL.to_vec()), keys, order, proptest::option::of(hit), 0..9_usize)
        .prop_map(|(index, keys, order, after, limit)| Scan { index, keys, order, after, limit })
}

fn action() -> impl Strategy<Value = Action> {
    // A put is mostly aimed at the revision that is there, and sometimes at a wrong one.
    let puts = vec((put(), prop::bool::weighted(0.95)), 0..4);
    prop_oneof![
        12 => (puts, vec(select(IDS.to_vec()), 0..2)).prop_map(|(puts, deletes)| Action::Commit { puts, deletes }),
        6 => scan().prop_map(Action::Scan),
        2 => (proptest::option::of(select(IDS.to_vec())), 0..4_usize)
            .prop_map(|(after, limit)| Action::Walk { after, limit }),
        1 => Just(Action::Reopen),
    ]
}

fn batch(model: &MemoryStore, puts: &[(PutPlan, bool)], deletes: &[&str]) -> Batch {
    let revision = |id: &str| model.fetch(id).unwrap().map(|record| record.revision);
    let puts = puts.iter().map(|(put, right)| {
        let there = revision(put.id);
        let replaces = if *right { there } else { there.map_or(Some(1), |there| Some(there + 1)) };
        Put { id: put.id.to_owned(), replaces, value: put.value.clone(), terms: put.terms.clone() }
    });
    let deletes = deletes.iter().map(|&id| Delete { id: id.to_owned(), replaces: revision(id).unwrap_or(1) });
    Batch { puts: puts.collect(), deletes: deletes.collect() }
}

fn assert_same(store: &dyn Store, model: &dyn Store) {
    assert_eq!(store.records(None, 100).unwrap(), model.records(None, 100).unwrap());
    for index in Index::ALL {
        let all = Scan::new(index, Keys::All);
        assert_eq!(store.scan(&all).unwrap(), model.scan(&all).unwrap(), "{index:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn sled_does_what_memory_does(actions in vec(action(), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let open = || SledStore::open(folder.path(), SledOptions::default()).unwrap();
        let (mut store, model) = (Some(open()), MemoryStore::new());
        for action in actions {
            let sled = store.as_ref().unwrap();
            match action {
                Action::Commit { puts, deletes } => {
                    let batch = batch(&model, &puts, &deletes);
                    let (ours, theirs) = (sled.commit(batch.clone()), model.commit(batch));
                    prop_assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
                }
                Action::Scan(scan) => {
                    prop_assert_eq!(sled.scan(&scan).unwrap(), model.scan(&scan).unwrap(), "{:?}", scan);
                }
                Action::Walk { after, limit } => {
                    prop_assert_eq!(sled.records(after, limit).unwrap(), model.records(after, limit).unwrap());
                }
                Action::Reopen => {
                    drop(store.take());
                    store = Some(open());
                    assert_same(store.as_ref().unwrap(), &model);
                }
            }
        }
        assert_same(store.as_ref().unwrap(), &model);
    }
}
