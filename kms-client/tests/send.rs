//! What the client does can be spawned: its futures may move from thread to thread.

use kms_client::doctor::{Plan, examine, examine_protocol};
use kms_client::{Client, KeySpec, KnownKey, Profile, WrappedKey};
use kms_protocol::DateTime;
use kms_protocol::operation::LocateRequest;

fn is_send<T: Send>(_: &T) {}

#[test]
fn every_call_can_be_spawned() {
    let check = |client: &Client, known: &[KnownKey], wrapped: &[WrappedKey], profile: &Profile| {
        let now = DateTime(0);
        is_send(&client.version());
        is_send(&client.locate(&LocateRequest::default()));
        is_send(&client.batch(&[LocateRequest::default()]));
        is_send(&client.request_key("job", KeySpec::Rsa2048));
        is_send(&client.find_key("job", KeySpec::Rsa2048));
        is_send(&client.rotate_key("1", KeySpec::Rsa2048));
        is_send(&client.rotation_info(known));
        is_send(&client.rotation_info_since(known, now, now));
        is_send(&client.decrypt_all(wrapped));
        is_send(&examine_protocol(client, false, KeySpec::Rsa2048, now, &|_| {}));
        is_send(&examine(&Plan::new(profile.clone()), now, &|_| {}));
    };
    // That it compiles is the test.
    let _ = check;
}
