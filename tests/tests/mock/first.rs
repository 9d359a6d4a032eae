//! The first test of a newcomer, as README shows it.

use kms_tests::repository::root;

// README: begin
use kms_client::{KeySpec, Profile};
use kms_protocol::enums::Operation;
use kms_server::faults::{Fault, Moment, Rule};
use kms_server::testing::TestServer;

#[tokio::test]
async fn a_lost_answer_costs_no_key() -> Result<(), Box<dyn std::error::Error>> {
    let server = TestServer::start().await;
    let client = Profile::load(&server.client("veeam").profile())?.builder().build()?;
    client.request_key("nightly", KeySpec::P256).await?;
    server.clock().advance("91d").await; // the policy rotates after 90 days
    let key = client.find_key("nightly", KeySpec::P256).await?.expect("the next generation");
    let lost = Rule::new(Fault::Close(Moment::AfterCommit)).operation(Operation::RekeyKeyPair).times(1);
    server.faults().add(lost)?; // the server rotates and dies before it answers
    let newest = client.rotate_key(&key.private_id, KeySpec::P256).await?;
    assert_ne!(newest.private_id, key.private_id);
    server.journal().assert_called(Operation::RekeyKeyPair).by("veeam").times(1);
    Ok(())
}
// README: end

#[test]
fn readme_shows_this_test() {
    let own = include_str!("first.rs");
    let (_, rest) = own.split_once("// README: begin\n").expect("the beginning");
    let (shown, _) = rest.split_once("// README: end\n").expect("the end");
    let readme = std::fs::read_to_string(root().join("README.md")).expect("README.md");
    assert!(readme.contains(&format!("```rust\n{shown}```\n")), "README.md does not show:\n{shown}");
}
