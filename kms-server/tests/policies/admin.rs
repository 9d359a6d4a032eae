//! Keys and policies through the admin API, as `kms-server ctl` asks for them.

use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use kms_protocol::DateTime;
use kms_protocol::enums::{LinkType, RevocationReasonCode as Code, State};
use kms_server::admin::{self, Admin, Operator};
use kms_server::clock::{Change, Clock};
use kms_server::config::{Config, PolicyBook};
use kms_server::rotator::Rotator;
use kms_server::service::Service;
use kms_server::shutdown::{self, Trigger};
use kms_server::store::MemoryStore;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::asking::{Asker, NOW};
use crate::{DAY, p256, server_on};

const CONFIG: &str = "[[policy]]\nname = \"tape\"\nnames = \"tape-*\"\nrotate-every = \"90d\"\n\
                      deletion-window = \"7d\"\n[[policy]]\nname = \"rest\"\n";

/// A server whose admin API is open.
struct Served {
    ask: Asker,
    rotator: Arc<Rotator>,
    address: String,
    folder: TempDir,
    _trigger: Trigger,
    _runtime: Runtime,
}

fn serve() -> Served {
    let folder = tempfile::tempdir().unwrap();
    let kms = server_on(Arc::new(MemoryStore::new()), CONFIG);
    let config = Config::parse(CONFIG, "kms.toml").unwrap();
    let book = PolicyBook::open(&config, Some(&folder.path().join("policies.toml"))).unwrap();
    let (trigger, stop) = shutdown::channel();
    let clock = Arc::new(Clock::frozen_at(DateTime(NOW)));
    let service = Arc::clone(&kms) as Arc<dyn Service>;
    let rotator = Arc::new(Rotator::new(service, Arc::clone(&clock), stop.clone()));
    let admin = Admin {
        clock,
        rotator: Arc::clone(&rotator),
        operator: Some(Operator::new(Arc::clone(&kms), book)),
        started: Instant::now(),
        state: None,
        revocations: None,
        mock: None,
        stop: stop.clone(),
    };
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    runtime.spawn(admin::serve(listener, Arc::new(admin), stop));
    Served { ask: Asker::on(kms), rotator, address, folder, _trigger: trigger, _runtime: runtime }
}

impl Served {
    fn ctl(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_kms-server"))
            .args(["ctl", "--admin", &self.address])
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let (code, out, err) = self.ctl(&[arguments, &["--json"]].concat());
        assert_eq!(code, 0, "{arguments:?}: {err}");
        serde_json::from_str(&out).unwrap()
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.ctl(arguments);
        assert_eq!((code, out.as_str()), (7, ""), "{arguments:?}: {err}");
        assert!(err.contains("hint: "), "{arguments:?}: {err}");
        err
    }
}

#[test]
fn policies_are_changed_on_the_running_server() {
    let served = serve();
    let (private, _) = served.ask.pair(&p256("tape-1", Vec::new()));
    let listed = served.json(&["policy", "list"]);
    assert_eq!(listed["policies"][0]["name"], "tape");
    assert_eq!(listed["policies"][1]["place"], "kms.toml, line 6");
    assert_eq!(served.ask.next_due(), Some(NOW + 90 * DAY));

    served.json(&["policy", "set", "tape", "rotate-every=30d", "deletion-window="]);
    assert_eq!(served.ask.next_due(), Some(NOW + 30 * DAY), "in force when the command returns");
    let shown = served.json(&["policy", "show", "tape"]);
    assert_eq!((&shown["rotate-every"], &shown["deletion-window"]), (&json!("30d"), &json!("0s")));
    assert!(shown["place"].as_str().unwrap().contains("policies.toml, line"), "{shown}");
    let kept = std::fs::read_to_string(served.folder.path().join("policies.toml")).unwrap();
    assert!(kept.contains("rotate-every = \"30d\""), "{kept}");

    served.json(&["policy", "set", "one", "names=tape-1-*,x", "rotate-every=7d", "algorithms=EC"]);
    assert_eq!(
        served.ask.key(&private).policy.as_deref(),
        Some("one"),
        "filed anew when the command returns"
    );
    assert_eq!(served.ask.next_due(), Some(NOW + 7 * DAY));
    served.json(&["policy", "remove", "one"]);
    assert_eq!(served.ask.next_due(), Some(NOW + 30 * DAY));
    let (code, table, _) = served.ctl(&["policy", "list"]);
    assert!(code == 0 && table.contains("every 30d") && table.contains("never"), "{table}");

    for (arguments, expected) in [
        (&["policy", "set", "tape", "rotate-evry=1d"][..], "did you mean `rotate-every`?"),
        (&["policy", "set", "tape", "rotate-every=soon"], "no duration"),
        (&["policy", "set", "tape", "offset=30d"], "rotates again before the new pair is active"),
        (&["policy", "set", "late", "names=tape-9"], ""),
        (&["policy", "remove", "tap"], "there are: "),
        (&["policy", "show", "tap"], "there are: "),
    ] {
        if expected.is_empty() {
            // A new policy comes first, so it is reached.
            served.json(arguments);
        } else {
            assert!(served.refused(arguments).contains(expected), "{arguments:?}");
        }
    }
    assert_eq!(served.ctl(&["policy", "set", "tape", "offset"]).0, 1);
    let (code, _, err) = served.ctl(&["policy", "set", "tape", "offset=1h", "offset=2h"]);
    assert!(code == 1 && err.contains("offset is set twice"), "{err}");
    assert!(served.refused(&["policy", "set", "tape", "ofset="]).contains("did you mean `offset`?"));
    assert!(served.refused(&["policy", "set", "tape", "name=disk"]).contains("keeps its name"));
    served.json(&["policy", "set", "late", r#"names=["tape-9, old", "tape-8"]"#]);
    assert_eq!(served.json(&["policy", "show", "late"])["names"], json!(["tape-9, old", "tape-8"]));
}

#[test]
fn keys_are_listed_rotated_and_brought_back() {
    let served = serve();
    let (private, public) = served.ask.pair(&p256("tape-1", Vec::new()));
    served.ask.by("b").pair(&p256("disk-1", Vec::new()));
    let ids = |value: &Value| -> Vec<String> {
        value["keys"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&served.json(&["key", "list"])).len(), 4);
    assert_eq!(ids(&served.json(&["key", "list", "--owner", "b"])).len(), 2);
    assert_eq!(ids(&served.json(&["key", "list", "--name", "tape-*-private"])), [private.as_str()]);
    assert_eq!(ids(&served.json(&["key", "list", "--state", "pre-active"])).len(), 0);
    let first = served.json(&["key", "list", "--limit", "3"]);
    let rest = served.json(&["key", "list", "--limit", "3", "--after", first["next"].as_str().unwrap()]);
    assert_eq!((ids(&first).len(), ids(&rest).len(), &rest["next"]), (3, 1, &Value::Null));

    let rotated = served.json(&["key", "rotate", &public]);
    let new = served.ask.link(&private, LinkType::ReplacementObjectLink).expect("a successor");
    assert_eq!(rotated["keys"][0]["id"], json!(new));
    assert_eq!(
        (&rotated["keys"][0]["generation"], &rotated["keys"][0]["policy"]),
        (&json!(1), &json!("tape"))
    );
    assert!(served.refused(&["key", "rotate", &private]).contains(&new));
    assert_eq!(ids(&served.json(&["key", "list", "--generation", "1"])).len(), 2);

    served.ask.revoke(&private, Code::Superseded).expect("revoked");
    served.ask.destroy(&private).expect("destroyed");
    let shown = served.json(&["key", "show", &private]);
    assert_eq!(
        (&shown["state"], &shown["restorable_until"]),
        (&json!("Destroyed"), &json!("2027-01-22T08:00:00Z"))
    );
    served.json(&["key", "undelete", &private]);
    assert_eq!(served.ask.state(&private), State::Deactivated);
    assert!(served.refused(&["key", "undelete", &private]).contains("not destroyed"));
    assert!(
        served.refused(&["key", "show", "00000000-0000-0000-0000-000000000000"]).contains("no such object")
    );
    assert!(served.refused(&["key", "list", "--state", "asleep"]).contains("Pre-Active"));
    assert!(served.refused(&["key", "list", "--after", "x"]).contains("no place"));
    let (_, told, _) = served.ctl(&["key", "show", &new]);
    assert!(told.contains("P-256 Private Key") && told.contains("replaces"), "{told}");
}

#[test]
fn a_moved_clock_steps_through_every_due_time_of_real_keys() {
    let served = serve();
    served.json(&[
        "policy",
        "set",
        "tape",
        "rotate-every=1d",
        "after-rotation=deactivate",
        "deactivate-after=12h",
    ]);
    let (private, _) = served.ask.pair(&p256("tape-1", Vec::new()));
    let moved = served.rotator.move_clock(&Change::Advance("3d".into())).unwrap();
    let at: Vec<i64> = moved.fired.iter().map(|fired| fired.at.0 - NOW).collect();
    let half = DAY / 2;
    let expected = [2, 3, 3, 4, 5, 5, 6].map(|halves| halves * half);
    assert_eq!(at, expected, "a rotation each day, and both old halves go out of use half a day later");
    assert!(served.ask.key(&private).successor.is_some());
    assert_eq!(served.ask.keys().iter().map(|key| key.generation).max(), Some(3));
}
