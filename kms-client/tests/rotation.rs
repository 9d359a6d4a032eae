//! What became of a key, over tables of what a server may hold.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod scripted;

use kms_client::{Client, Error, Finding, KeySpec, KnownKey};
use kms_protocol::attribute::{Attribute, CryptographicUsageMask, Link, Name, RotateName};
use kms_protocol::enums::{
    CryptographicAlgorithm, LinkType, ObjectType, Operation, ResultReason, RotateNameType, State,
};
use kms_protocol::{DateTime, Version};
use scripted::keys::pair;
use scripted::model::{Model, Object, Quirks, public_name};
use scripted::{Ask, InMemory, Journal, Reply, speaking};

/// A public key in a table.
#[derive(Clone)]
struct Row {
    id: &'static str,
    state: State,
    /// Replacement Object Links.
    next: &'static [&'static str],
    /// The name `job`, as its Name.
    named: bool,
    /// The Object Group `job`.
    grouped: bool,
    date: i64,
    bits: usize,
    extra: Vec<Attribute>,
}

fn row(id: &'static str, date: i64) -> Row {
    Row { id, state: Active, next: &[], named: false, grouped: true, date, bits: 2048, extra: Vec::new() }
}

impl Row {
    fn state(mut self, state: State) -> Self {
        self.state = state;
        self
    }

    fn next(mut self, next: &'static [&'static str]) -> Self {
        self.next = next;
        self
    }

    fn named(mut self) -> Self {
        self.named = true;
        self
    }

    fn alone(mut self) -> Self {
        self.grouped = false;
        self
    }

    fn bits(mut self, bits: usize) -> Self {
        self.bits = bits;
        self
    }

    fn with(mut self, attribute: Attribute) -> Self {
        self.extra.push(attribute);
        self
    }

    fn put(self, model: &Model) {
        let mut attributes = vec![
            Attribute::State(self.state),
            Attribute::InitialDate(DateTime(self.date)),
            Attribute::Link(Link::to(LinkType::PrivateKeyLink, format!("{}-private", self.id))),
            Attribute::CryptographicUsageMask(CryptographicUsageMask::ENCRYPT),
        ];
        for next in self.next {
            attributes.push(Attribute::Link(Link::to(LinkType::ReplacementObjectLink, *next)));
        }
        if self.named {
            attributes.push(public_name("job"));
        }
        if self.grouped {
            attributes.push(Attribute::ObjectGroup("job".into()));
        }
        attributes.extend(self.extra);
        model.public(self.id, self.bits, attributes);
    }
}

fn known(id: &str) -> KnownKey {
    KnownKey {
        public_id: id.to_owned(),
        private_id: format!("{id}-private"),
        name: "job".to_owned(),
        spec: KeySpec::Rsa2048,
    }
}

fn serve(rows: Vec<Row>, quirks: Quirks, versions: &'static [Version]) -> (Client, Model, Journal) {
    let (model, journal) = (Model::default(), Journal::default());
    rows.into_iter().for_each(|row| row.put(&model));
    model.lock().quirks = quirks;
    let (served, noted) = (model.clone(), journal.clone());
    let server = InMemory::replying(speaking(versions, move |ask: &Ask<'_>| {
        noted.note(ask);
        served.reply(ask)
    }));
    let client = server.builder().version(versions[0]).build().expect("settings");
    (client, model, journal)
}

/// A finding in a line.
fn short(finding: &Finding) -> String {
    match finding {
        Finding::Unchanged => "unchanged".to_owned(),
        Finding::Rotated { generations, newest } => {
            assert_eq!(newest.private_id, format!("{}-private", newest.public_id));
            assert_eq!(newest.public_key_spki, pair(newest.bits as usize).public);
            format!("rotated {generations} {}", newest.public_id)
        }
        Finding::Moved { newest } => {
            assert_eq!(newest.private_id, format!("{}-private", newest.public_id));
            format!("moved {}", newest.public_id)
        }
        Finding::PendingActivation { public_id, known } => format!("pending {public_id}{}", own(*known)),
        Finding::RetiredWithoutSuccessor { state } => format!("retired {state}"),
        Finding::Gone => "gone".to_owned(),
        Finding::Ambiguous { candidates, known } => {
            format!("ambiguous {}{}", candidates.join(" "), own(*known))
        }
        Finding::Unusable { id, why, known } => format!("unusable {id} {why:?}{}", own(*known)),
        Finding::Failed { error } => format!("failed {:?}", error.reason()),
        other => panic!("a finding that this test does not know: {other:?}"),
    }
}

/// The known key's own state, where it is not Active.
fn own(state: Option<State>) -> String {
    match state {
        Some(Active) => String::new(),
        Some(state) => format!(", itself {state}"),
        None => ", itself gone".to_owned(),
    }
}

async fn check_with(what: &str, rows: Vec<Row>, quirks: Quirks, expected: &str) {
    let (client, ..) = serve(rows, quirks, &[Version::V1_4]);
    let findings = client.rotation_info(&[known("a")]).await.expect(what);
    assert_eq!(findings.iter().map(short).collect::<Vec<_>>(), [expected], "{what}");
}

async fn check(what: &str, rows: Vec<Row>, expected: &str) {
    check_with(what, rows, Quirks::default(), expected).await;
}

use State::{Active, Compromised, Deactivated, Destroyed, PreActive};

#[tokio::test]
async fn links_are_followed_to_the_newest_active_key() {
    let chain = |b, c| {
        vec![row("a", 1).next(&["b"]), row("b", 2).next(&["c"]).state(b), row("c", 3).named().state(c)]
    };
    check("no link", vec![row("a", 1).named()], "unchanged").await;
    check("one link", vec![row("a", 1).next(&["b"]), row("b", 2).named()], "rotated 1 b").await;
    check("two links", chain(Active, Active), "rotated 2 c").await;
    check("the old ones deactivated", chain(Deactivated, Active), "rotated 2 c").await;
    check("the newest waits", chain(Active, PreActive), "rotated 1 b").await;
    check("the newest waits, nothing between", chain(Deactivated, PreActive), "pending c").await;
    check("the newest is retired", chain(Active, Deactivated), "rotated 1 b").await;
    check("all are retired", chain(Deactivated, Compromised), "retired Compromised").await;
    let waiting = vec![row("a", 1).next(&["b"]), row("b", 2).named().state(PreActive)];
    check("the only successor waits", waiting, "pending b").await;
    check("it waits itself", vec![row("a", 1).named().state(PreActive)], "pending a, itself Pre-Active")
        .await;
    let retired = vec![row("a", 1).next(&["b"]).state(Deactivated), row("b", 2).named().state(PreActive)];
    check("the successor of a retired key waits", retired, "pending b, itself Deactivated").await;
}

#[tokio::test]
async fn chains_that_do_not_end_well_are_told() {
    let cycle = vec![row("a", 1).next(&["b"]), row("b", 2).next(&["a"])];
    check("a cycle", cycle, "unusable a Cycle").await;
    check("a link to itself", vec![row("a", 1).next(&["a"])], "unusable a Cycle").await;
    let behind = vec![row("a", 1).next(&["b"]), row("b", 2).next(&["c"]), row("c", 2).next(&["b"])];
    check("a cycle further on", behind, "unusable b Cycle").await;
    check("a missing target", vec![row("a", 1).next(&["b"])], "unusable b Missing").await;
    let usable = vec![row("a", 1).next(&["b"]), row("b", 2).next(&["c"])];
    check("a missing target behind a usable key", usable, "rotated 1 b").await;
    let found = vec![row("a", 1).next(&["b"]), row("c", 3).named()];
    check("a missing target, but the name leads on", found, "moved c").await;
    let fork = vec![row("a", 1).next(&["b", "c"]), row("b", 2), row("c", 2)];
    check("two replacements", fork, "ambiguous b c").await;
}

#[tokio::test]
async fn a_chain_of_more_generations_than_the_limit_is_given_up() {
    let name = |at: usize| -> &'static str { Box::leak(format!("k{at}").into_boxed_str()) };
    let generations = kms_client::limits::GENERATIONS;
    let chain = |length: usize| {
        (0..=length)
            .map(|at| {
                let next: &'static [&'static str] =
                    if at < length { Box::leak(Box::new([name(at + 1)])) } else { &[] };
                row(name(at), 0).alone().next(next)
            })
            .collect::<Vec<_>>()
    };
    for (length, expected) in [
        (generations, format!("rotated {generations} k{generations}")),
        (generations + 1, format!("unusable k{} TooDeep", generations + 1)),
    ] {
        let (client, ..) = serve(chain(length), Quirks::default(), &[Version::V1_4]);
        let findings = client.rotation_info(&[known("k0")]).await.expect("asked");
        assert_eq!(short(&findings[0]), expected);
    }
}

#[tokio::test]
async fn without_links_the_name_tells() {
    let alone = |row: Row| row.alone();
    check("the name moved", vec![alone(row("a", 1)), alone(row("b", 2).named())], "moved b").await;
    let retired = vec![alone(row("a", 1).state(Deactivated)), alone(row("b", 2).named())];
    check("and the old key is deactivated", retired, "moved b").await;
    let waits = vec![alone(row("a", 1)), alone(row("b", 2).named().state(PreActive))];
    check("the successor waits", waits, "pending b").await;
    let two =
        vec![alone(row("a", 1).state(Deactivated)), alone(row("b", 2).named()), alone(row("c", 2).named())];
    check("two of the same second", two, "ambiguous b c, itself Deactivated").await;
    let two = vec![alone(row("a", 1)), alone(row("b", 2).named()), alone(row("c", 3).named())];
    check("the newer of two", two, "moved c").await;
    let old = vec![alone(row("a", 5).named()), alone(row("b", 5).named()), alone(row("c", 1).named())];
    check("none is newer than the known one", old, "unchanged").await;
    let gone = vec![alone(row("b", 2).named())];
    check("the known one is gone", gone, "moved b").await;
}

#[tokio::test]
async fn without_links_and_names_the_group_tells() {
    check("a newer member", vec![row("a", 1).named(), row("b", 2)], "moved b").await;
    check("an older one", vec![row("a", 2).named(), row("b", 1)], "unchanged").await;
    let retired = vec![row("a", 1).state(Deactivated), row("b", 2), row("c", 3)];
    check("the newest member", retired, "moved c").await;
    let replaced = vec![row("a", 1).state(Deactivated), row("b", 3).next(&["d"]), row("c", 2)];
    check("a member that was replaced is none", replaced, "moved c").await;
}

#[tokio::test]
async fn retired_and_missing_keys_are_never_unchanged() {
    check("deactivated", vec![row("a", 1).named().state(Deactivated)], "retired Deactivated").await;
    check("compromised", vec![row("a", 1).named().state(Compromised)], "retired Compromised").await;
    check("destroyed", vec![row("a", 1).named().state(Destroyed)], "retired Destroyed").await;
    check("missing", vec![], "gone").await;
}

#[tokio::test]
async fn only_a_key_that_can_take_its_place_is_adopted() {
    let stronger = vec![row("a", 1).next(&["b"]), row("b", 2).bits(3072)];
    check("longer", stronger, "rotated 1 b").await;
    let (client, ..) =
        serve(vec![row("a", 1).bits(3072).next(&["b"]), row("b", 2)], Quirks::default(), &[Version::V1_4]);
    let longer = KnownKey { spec: KeySpec::Rsa3072, ..known("a") };
    let findings = client.rotation_info(&[longer]).await.expect("asked");
    assert_eq!(short(&findings[0]), "unusable b Weaker", "shorter");
    let signs = Attribute::CryptographicUsageMask(CryptographicUsageMask::VERIFY);
    check("may not encrypt", vec![row("a", 1).next(&["b"]), row("b", 2).with(signs)], "unusable b Weaker")
        .await;
    let (client, model, _) =
        serve(vec![row("a", 1).next(&["b"]), row("b", 2)], Quirks::default(), &[Version::V1_4]);
    for attribute in &mut model.lock().objects.get_mut("b").expect("b").attributes {
        if let Attribute::CryptographicAlgorithm(algorithm) = attribute {
            *algorithm = CryptographicAlgorithm::Ec;
        }
    }
    let findings = client.rotation_info(&[known("a")]).await.expect("asked");
    assert_eq!(short(&findings[0]), "unusable b Weaker", "of another algorithm");
}

#[tokio::test]
async fn a_locate_that_over_matches_changes_nothing() {
    let over = || Quirks { locate_ignores_filters: true, ..Quirks::default() };
    let stranger = || row("z", 9).alone().with(Attribute::ObjectGroup("other".into()));
    check_with("a stranger", vec![row("a", 1).named(), stranger()], over(), "unchanged").await;
    let retired = vec![row("a", 1).state(Deactivated), stranger()];
    check_with("a stranger and a retired key", retired, over(), "retired Deactivated").await;
    check_with("a stranger and nothing else", vec![stranger()], over(), "gone").await;
    let (client, model, _) = serve(vec![row("a", 1).named()], over(), &[Version::V1_4]);
    let private = Object {
        attributes: vec![
            Attribute::ObjectType(ObjectType::PrivateKey),
            Attribute::State(Active),
            Attribute::InitialDate(DateTime(9)),
            Attribute::ObjectGroup("job".into()),
            public_name("job"),
        ],
        der: pair(2048).private.clone(),
    };
    model.lock().objects.insert("p".to_owned(), private);
    let findings = client.rotation_info(&[known("a")]).await.expect("asked");
    assert_eq!(short(&findings[0]), "unchanged", "a private key of that name");
}

#[tokio::test]
async fn a_server_without_links_or_locate_is_told_apart_as_far_as_it_goes() {
    let no_links = || Quirks { no_links: true, ..Quirks::default() };
    let rows = || vec![row("a", 1).next(&["b"]), row("b", 2).named()];
    // The private half is found by its name then; the model has none of it.
    check_with("no links, no private half to find", rows(), no_links(), "unusable b NoPrivateKey").await;
    let (client, model, _) = serve(rows(), no_links(), &[Version::V1_4]);
    let private = Object {
        attributes: vec![
            Attribute::ObjectType(ObjectType::PrivateKey),
            Attribute::Name(Name::text("job-private")),
        ],
        der: pair(2048).private.clone(),
    };
    model.lock().objects.insert("b-private".to_owned(), private);
    let findings = client.rotation_info(&[known("a")]).await.expect("asked");
    assert_eq!(short(&findings[0]), "moved b");
    let no_locate = Quirks { no_locate: true, ..Quirks::default() };
    check_with("no locate", rows(), no_locate.clone(), "rotated 1 b").await;
    check_with("no locate, no link", vec![row("a", 1)], no_locate.clone(), "unchanged").await;
    check_with("no locate, no key", vec![], no_locate, "gone").await;
}

#[tokio::test]
async fn in_2_1_the_rotate_name_tells() {
    let rotate = |latest| {
        let name = RotateName { value: "r".into(), name_type: RotateNameType::UninterpretedTextString };
        move |row: Row| row.alone().with(Attribute::RotateName(name)).with(Attribute::RotateLatest(latest))
    };
    let rows = || vec![rotate(false)(row("a", 1)), rotate(true)(row("b", 2))];
    let (client, ..) = serve(rows(), Quirks::default(), &[Version::V2_1]);
    let findings = client.rotation_info(&[known("a")]).await.expect("asked");
    assert_eq!(short(&findings[0]), "moved b");
    check("1.4 has no Rotate Name", rows(), "unchanged").await;
}

#[tokio::test]
async fn thousands_of_keys_are_asked_about_in_few_messages() {
    let name = |at: usize| -> &'static str { Box::leak(format!("k{at}").into_boxed_str()) };
    let mut rows = Vec::new();
    for at in 0..1000 {
        let next: &'static [&'static str] =
            if at % 2 == 0 { Box::leak(Box::new([name(at + 10_000)])) } else { &[] };
        rows.push(row(name(at), 1).alone().next(next));
        if at % 2 == 0 {
            rows.push(row(name(at + 10_000), 2).alone());
        }
    }
    let (client, _, journal) = serve(rows, Quirks::default(), &[Version::V1_4]);
    let keys: Vec<_> = (0..1000).map(|at| known(name(at))).collect();
    let findings = client.rotation_info(&keys).await.expect("asked");
    for (at, finding) in findings.iter().enumerate() {
        let expected =
            if at % 2 == 0 { format!("rotated 1 k{}", at + 10_000) } else { "unchanged".to_owned() };
        assert_eq!(short(finding), expected);
    }
    assert_eq!(journal.count(Operation::GetAttributes), 1500, "each object is asked about once");
    let messages: f64 = journal.sizes(Operation::GetAttributes).iter().map(|of| 1.0 / *of as f64).sum();
    assert!(messages < 6.5, "{messages}");
}

#[tokio::test]
async fn where_nothing_is_new_nothing_is_searched_for() {
    let rows = || vec![row("a", 1_000_000).named(), row("b", 2_000_000).alone()];
    let (since, now) = (DateTime(1_999_000), DateTime(3_000_000));
    let (client, _, journal) = serve(rows(), Quirks::default(), &[Version::V1_4]);
    let findings = client.rotation_info_since(&[known("a")], DateTime(2_500_000), now).await.expect("asked");
    assert_eq!(short(&findings[0]), "unchanged");
    assert_eq!(journal.count(Operation::Locate), 1, "what is new, and no more");
    client.rotation_info_since(&[known("a")], since, now).await.expect("asked");
    assert_eq!(journal.count(Operation::Locate), 4, "something is new: by name and by group as well");
    // A retired key is searched for in any case.
    let retired = vec![row("a", 1_000_000).state(Deactivated)];
    let (client, _, journal) = serve(retired, Quirks::default(), &[Version::V1_4]);
    let findings = client.rotation_info_since(&[known("a")], DateTime(2_500_000), now).await.expect("asked");
    assert_eq!(short(&findings[0]), "retired Deactivated");
    assert_eq!(journal.count(Operation::Locate), 3);
}

#[tokio::test]
async fn a_refusal_about_one_key_is_its_finding_and_a_lost_server_is_an_error() {
    let model = Model::default();
    row("b", 1).named().put(&model);
    let served = model.clone();
    let server = InMemory::replying(speaking(&[Version::V1_4], move |ask: &Ask<'_>| {
        let about_a = ask.operation() == Operation::GetAttributes
            && ask
                .read::<kms_protocol::operation::GetAttributesRequest>()
                .unique_identifier
                .is_some_and(|id| id.as_text() == Some("a"));
        if about_a { Reply::No(ResultReason::PermissionDenied) } else { served.reply(ask) }
    }));
    let findings = server.client().rotation_info(&[known("a"), known("b")]).await.expect("asked");
    let lines: Vec<_> = findings.iter().map(short).collect();
    assert_eq!(lines, ["failed Some(PermissionDenied)", "unchanged"]);
    let lost = InMemory::new(|_, stream| async move { drop(stream) });
    let error = lost.client().rotation_info(&[known("a")]).await.expect_err("no server");
    assert!(matches!(error, Error::Lost { .. }), "{error:?}");
}
