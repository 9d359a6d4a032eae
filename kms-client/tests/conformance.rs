//! The runner of cases, against a server that answers as it is told: it sees every difference that matters.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::future::{Future, ready};
use std::pin::Pin;

use kms_client::Error;
use kms_client::conformance::{Case, Exchange, Node, Report, Verdict, rules};
use kms_protocol::encoding::to_xml;
use kms_protocol::{DateTime, Secret};

const NOW: DateTime = DateTime(1_800_000_000);

const CASE: &str = r#"<KMIP>
<RequestMessage>
  <RequestHeader>
    <ProtocolVersion>
      <ProtocolVersionMajor type="Integer" value="1"/><ProtocolVersionMinor type="Integer" value="4"/>
    </ProtocolVersion>
    <BatchCount type="Integer" value="1"/>
  </RequestHeader>
  <BatchItem>
    <Operation type="Enumeration" value="Create"/>
    <RequestPayload>
      <ObjectType type="Enumeration" value="SymmetricKey"/>
      <TemplateAttribute>
        <Attribute>
          <AttributeName type="TextString" value="Cryptographic Algorithm"/>
          <AttributeValue type="Enumeration" value="AES"/>
        </Attribute>
        <Attribute>
          <AttributeName type="TextString" value="Activation Date"/>
          <AttributeValue type="DateTime" value="$NOW-3600"/>
        </Attribute>
      </TemplateAttribute>
    </RequestPayload>
  </BatchItem>
</RequestMessage>
<ResponseMessage>
  <ResponseHeader>
    <ProtocolVersion>
      <ProtocolVersionMajor type="Integer" value="1"/><ProtocolVersionMinor type="Integer" value="4"/>
    </ProtocolVersion>
    <TimeStamp type="DateTime" value="$NOW"/>
    <BatchCount type="Integer" value="1"/>
  </ResponseHeader>
  <BatchItem>
    <Operation type="Enumeration" value="Create"/>
    <ResultStatus type="Enumeration" value="Success"/>
    <ResponsePayload>
      <ObjectType type="Enumeration" value="SymmetricKey"/>
      <UniqueIdentifier type="TextString" value="$UNIQUE_IDENTIFIER_0"/>
    </ResponsePayload>
  </BatchItem>
</ResponseMessage>
<RequestMessage>
  <RequestHeader>
    <ProtocolVersion>
      <ProtocolVersionMajor type="Integer" value="1"/><ProtocolVersionMinor type="Integer" value="4"/>
    </ProtocolVersion>
    <BatchCount type="Integer" value="1"/>
  </RequestHeader>
  <BatchItem>
    <Operation type="Enumeration" value="GetAttributes"/>
    <RequestPayload>
      <UniqueIdentifier type="TextString" value="$UNIQUE_IDENTIFIER_0"/>
      <AttributeName type="TextString" value="State"/>
      <AttributeName type="TextString" value="Cryptographic Usage Mask"/>
      <AttributeName type="TextString" value="Initial Date"/>
    </RequestPayload>
  </BatchItem>
</RequestMessage>
<ResponseMessage>
  <ResponseHeader>
    <ProtocolVersion>
      <ProtocolVersionMajor type="Integer" value="1"/><ProtocolVersionMinor type="Integer" value="4"/>
    </ProtocolVersion>
    <TimeStamp type="DateTime" value="$NOW"/>
    <BatchCount type="Integer" value="1"/>
  </ResponseHeader>
  <BatchItem>
    <Operation type="Enumeration" value="GetAttributes"/>
    <ResultStatus type="Enumeration" value="Success"/>
    <ResponsePayload>
      <UniqueIdentifier type="TextString" value="$UNIQUE_IDENTIFIER_0"/>
      <Attribute>
        <AttributeName type="TextString" value="State"/>
        <AttributeValue type="Enumeration" value="Active"/>
      </Attribute>
      <Attribute>
        <AttributeName type="TextString" value="Cryptographic Usage Mask"/>
        <AttributeValue type="Integer" value="Decrypt Encrypt"/>
      </Attribute>
      <Attribute>
        <AttributeName type="TextString" value="Initial Date"/>
        <AttributeValue type="DateTime" value="$NOW"/>
      </Attribute>
    </ResponsePayload>
  </BatchItem>
</ResponseMessage>
<RequestMessage>
  <RequestHeader>
    <ProtocolVersion>
      <ProtocolVersionMajor type="Integer" value="1"/><ProtocolVersionMinor type="Integer" value="4"/>
    </ProtocolVersion>
    <BatchCount type="Integer" value="1"/>
  </RequestHeader>
  <BatchItem>
    <Operation type="Enumeration" value="Encrypt"/>
    <RequestPayload>
      <UniqueIdentifier type="TextString" value="$UNIQUE_IDENTIFIER_0"/>
      <Data type="ByteString" value="0102"/>
    </RequestPayload>
  </BatchItem>
</RequestMessage>
<ResponseMessage>
  <ResponseHeader>
    <ProtocolVersion>
      <ProtocolVersionMajor type="Integer" value="1"/><ProtocolVersionMinor type="Integer" value="4"/>
    </ProtocolVersion>
    <TimeStamp type="DateTime" value="$NOW"/>
    <BatchCount type="Integer" value="1"/>
  </ResponseHeader>
  <BatchItem>
    <Operation type="Enumeration" value="Encrypt"/>
    <ResultStatus type="Enumeration" value="Success"/>
    <ResponsePayload>
      <UniqueIdentifier type="TextString" value="$UNIQUE_IDENTIFIER_0"/>
      <Data type="ByteString" value="a1a2a3a4"/>
    </ResponsePayload>
  </BatchItem>
</ResponseMessage>
<RequestMessage>
  <RequestHeader>
    <ProtocolVersion>
      <ProtocolVersionMajor type="Integer" value="1"/><ProtocolVersionMinor type="Integer" value="4"/>
    </ProtocolVersion>
    <BatchCount type="Integer" value="1"/>
  </RequestHeader>
  <BatchItem>
    <Operation type="Enumeration" value="Decrypt"/>
    <RequestPayload>
      <UniqueIdentifier type="TextString" value="$UNIQUE_IDENTIFIER_0"/>
      <Data type="ByteString" value="a1a2a3a4"/>
    </RequestPayload>
  </BatchItem>
</RequestMessage>
<ResponseMessage>
  <ResponseHeader>
    <ProtocolVersion>
      <ProtocolVersionMajor type="Integer" value="1"/><ProtocolVersionMinor type="Integer" value="4"/>
    </ProtocolVersion>
    <TimeStamp type="DateTime" value="$NOW"/>
    <BatchCount type="Integer" value="1"/>
  </ResponseHeader>
  <BatchItem>
    <Operation type="Enumeration" value="Decrypt"/>
    <ResultStatus type="Enumeration" value="OperationFailed"/>
    <ResultReason type="Enumeration" value="PermissionDenied"/>
    <ResultMessage type="TextString" value="DENIED"/>
  </BatchItem>
</ResponseMessage>
</KMIP>"#;

fn case() -> Case {
    Case::parse("it", CASE).expect("a case")
}

/// A server with these answers, which keeps what it was asked.
#[derive(Default)]
struct Told {
    answers: VecDeque<Secret>,
    asked: Vec<String>,
}

impl Exchange for Told {
    fn exchange<'a>(
        &'a mut self,
        request: &'a [u8],
    ) -> Pin<Box<dyn Future<Output = Result<Secret, Error>> + Send + 'a>> {
        let xml = to_xml(request).expect("a message");
        self.asked.push(String::from_utf8(xml.expose().to_vec()).expect("text"));
        let none = || Error::Protocol { what: "no answer".into() };
        Box::pin(ready(self.answers.pop_front().ok_or_else(none)))
    }
}

/// What a server answers in the place of what the case shows.
fn answer(node: &Node) -> Node {
    let value = match node.value.as_str() {
        "$UNIQUE_IDENTIFIER_0" => "42".to_owned(),
        "$NOW" => "2027-01-15T08:00:30Z".to_owned(),
        "a1a2a3a4" => "b1b2b3b4".to_owned(),
        // By number, so that they mean something whatever becomes of the attribute's name beside them.
        "Active" => "0x00000002".to_owned(),
        "Decrypt Encrypt" => "12".to_owned(),
        other => other.to_owned(),
    };
    Node { value, items: node.items.iter().map(answer).collect(), ..node.clone() }
}

fn answers() -> Vec<Node> {
    case().steps.iter().map(|step| answer(&step.response)).collect()
}

fn replay(answers: &[Node]) -> (Verdict, Told) {
    let answers = answers.iter().map(|answer| answer.to_ttlv().expect("a message")).collect();
    let mut server = Told { answers, ..Told::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let report = runtime
        .block_on(Report::of(&[case()], &mut server, &|_| None, &|| NOW, &|_, _| ()))
        .expect("a server");
    let [(_, verdict)] = report.cases() else { panic!("one case") };
    (verdict.clone(), server)
}

#[test]
fn names_and_what_chance_made_go_into_later_requests() {
    let (verdict, server) = replay(&answers());
    assert_eq!(verdict, Verdict::Passed);
    assert!(server.asked[0].contains("value=\"2027-01-15T07:00:00+00:00\""), "{}", server.asked[0]);
    assert!(server.asked[1].contains("<UniqueIdentifier type=\"TextString\" value=\"42\"/>"));
    // The ciphertext of the server's own key, in the place of the case's.
    assert!(server.asked[3].contains("<Data type=\"ByteString\" value=\"b1b2b3b4\"/>"));
}

/// Where every item of a message is: the places of its ancestors.
fn places(node: &Node, here: &[usize], all: &mut Vec<Vec<usize>>) {
    for (at, item) in node.items.iter().enumerate() {
        let place = [here, &[at]].concat();
        all.push(place.clone());
        places(item, &place, all);
    }
}

fn parent<'a>(message: &'a mut Node, place: &[usize]) -> &'a mut Node {
    let (_, above) = place.split_last().expect("a place");
    above.iter().fold(message, |node, at| &mut node.items[*at])
}

/// Every item in turn, with whatever is done to it.
fn altered(alter: impl Fn(&mut Node, usize)) -> Vec<(Node, Vec<Node>)> {
    let mut all = Vec::new();
    for message in 0..answers().len() {
        let mut found = Vec::new();
        places(&answers()[message], &[], &mut found);
        for place in found {
            let mut told = answers();
            let node = parent(&mut told[message], &place);
            let at = *place.last().expect("a place");
            let before = node.items[at].clone();
            alter(node, at);
            all.push((before, told));
        }
    }
    all
}

fn failed(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Failed { .. })
}

#[test]
fn an_item_that_is_missing_is_seen() {
    for (item, told) in altered(|parent, at| _ = parent.items.remove(at)) {
        let may_lack = rules::OPTIONAL.contains(&item.name.as_str());
        assert_eq!(failed(&replay(&told).0), !may_lack, "without {item:?}");
    }
}

#[test]
fn an_item_too_many_is_seen() {
    for (item, told) in altered(|parent, at| {
        let again = parent.items[at].clone();
        parent.items.insert(at, again);
    }) {
        let may_add = rules::OPTIONAL.contains(&item.name.as_str());
        assert_eq!(failed(&replay(&told).0), !may_add, "twice {item:?}");
    }
}

#[test]
fn another_value_is_seen_unless_it_is_the_servers_own_affair() {
    for (item, told) in altered(|parent, at| {
        let item = &mut parent.items[at];
        item.value = match item.item_type.as_str() {
            "TextString" => format!("{}7", item.value),
            "DateTime" => "2027-01-15T06:00:00Z".to_owned(),
            "ByteString" => format!("{}07", item.value),
            "Integer" => format!("1{}", item.value),
            "Enumeration" => "0x00000077".to_owned(),
            _ => String::new(),
        };
    }) {
        // A new identifier is whatever the server says, as long as it goes on saying so.
        let varies = rules::ANY_VALUE.contains(&item.name.as_str()) && item.name != "TimeStamp";
        if !item.is_structure() {
            assert_eq!(failed(&replay(&told).0), !varies, "another {item:?}");
        }
    }
}

#[test]
fn another_order_is_seen_except_among_attributes() {
    let mut told = answers();
    let payload = &mut told[1].items[1].items[2];
    assert_eq!(payload.name, "ResponsePayload");
    payload.items.swap(1, 3);
    assert_eq!(replay(&told).0, Verdict::Passed);
    let mut told = answers();
    told[0].items[1].items[2].items.swap(0, 1);
    assert!(failed(&replay(&told).0));
}

#[test]
fn the_first_difference_is_told_with_its_place() {
    let mut told = answers();
    told[1].items[1].items[2].items[1].items[1].value = "PreActive".to_owned();
    let Verdict::Failed { step, difference } = replay(&told).0 else { panic!("a failure") };
    assert_eq!(step, 1);
    assert_eq!(
        difference.to_string(),
        "BatchItem[0]/ResponsePayload/Attribute(State)/AttributeValue: expected Active, got PreActive"
    );
}

#[test]
fn a_server_that_goes_away_fails_the_case_and_the_report_says_so() {
    let (verdict, _) = replay(&answers()[..2]);
    let Verdict::Failed { step: 2, difference } = verdict else { panic!("a failure") };
    assert!(difference.got.contains("no answer"), "{difference}");
}

#[test]
fn reports_are_written_for_people_and_for_programs() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut second = case();
    second.name = "a\"<b>".to_owned();
    let mut server = Told {
        answers: answers().iter().map(|answer| answer.to_ttlv().expect("a message")).collect(),
        ..Told::default()
    };
    let skipped = |name: &str| (name != "it").then(|| "not <today>".to_owned());
    let report = runtime
        .block_on(Report::of(&[case(), second], &mut server, &skipped, &|| NOW, &|_, _| ()))
        .expect("a server");
    assert_eq!(report.counts(), (1, 0, 1));
    assert_eq!(report.to_string(), "1 of 2 cases passed, 0 failed, 1 skipped");
    assert_eq!(report.to_json()["cases"][1]["reason"], "not <today>");
    let junit = report.to_junit();
    assert!(junit.contains("tests=\"2\" failures=\"0\" skipped=\"1\""), "{junit}");
    assert!(junit.contains("name=\"a&quot;&lt;b&gt;\"><skipped message=\"not &lt;today&gt;\"/>"), "{junit}");
}

/// One exchange of a case, without what surrounds its items.
fn exchange(operation: &str, request: &str, response: &str) -> String {
    let version = |minor: u32| {
        format!(
            "<ProtocolVersion><ProtocolVersionMajor type=\"Integer\" value=\"1\"/>\
             <ProtocolVersionMinor type=\"Integer\" value=\"{minor}\"/></ProtocolVersion>"
        )
    };
    let (version, count) = (version(4), "<BatchCount type=\"Integer\" value=\"1\"/>");
    format!(
        "<RequestMessage><RequestHeader>{version}{count}</RequestHeader><BatchItem>\
         <Operation type=\"Enumeration\" value=\"{operation}\"/><RequestPayload>{request}</RequestPayload>\
         </BatchItem></RequestMessage>\
         <ResponseMessage><ResponseHeader>{version}<TimeStamp type=\"DateTime\" value=\"$NOW\"/>{count}\
         </ResponseHeader><BatchItem><Operation type=\"Enumeration\" value=\"{operation}\"/>\
         <ResultStatus type=\"Enumeration\" value=\"Success\"/>\
         <ResponsePayload>{response}</ResponsePayload></BatchItem></ResponseMessage>"
    )
}

const ID: &str = "<UniqueIdentifier type=\"TextString\" value=\"$UNIQUE_IDENTIFIER_0\"/>";

fn item(name: &str, value: &str) -> String {
    format!("<{name} type=\"ByteString\" value=\"{value}\"/>")
}

fn register(what: &str, format: &str, der: &[u8], attributes: &str) -> String {
    let request = format!(
        "<ObjectType type=\"Enumeration\" value=\"{what}\"/><TemplateAttribute>{attributes}</TemplateAttribute>\
         <{what}><KeyBlock><KeyFormatType type=\"Enumeration\" value=\"{format}\"/><KeyValue>{}</KeyValue>\
         <CryptographicAlgorithm type=\"Enumeration\" value=\"RSA\"/></KeyBlock></{what}>",
        item("KeyMaterial", &hex::encode(der))
    );
    exchange("Register", &request, ID)
}

/// Replays cases against a server that shows `instead` where the case has a value.
fn replay_with(cases: &[(&str, &str)], instead: &dyn Fn(&str) -> String) -> (Vec<Verdict>, Told) {
    let cases: Vec<Case> = cases
        .iter()
        .map(|(name, steps)| Case::parse(name, &format!("<KMIP>{steps}</KMIP>")).expect("a case"))
        .collect();
    fn shown(node: &Node, instead: &dyn Fn(&str) -> String) -> Node {
        let items = node.items.iter().map(|item| shown(item, instead)).collect();
        Node { value: instead(&node.value), items, ..node.clone() }
    }
    let answers = cases
        .iter()
        .flat_map(|case| &case.steps)
        .map(|step| answer(&shown(&step.response, instead)).to_ttlv().expect("a message"))
        .collect();
    let mut server = Told { answers, ..Told::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let report =
        runtime.block_on(Report::of(&cases, &mut server, &|_| None, &|| NOW, &|_, _| ())).expect("a server");
    (report.cases().iter().map(|(_, verdict)| verdict.clone()).collect(), server)
}

fn same(value: &str) -> String {
    value.to_owned()
}

#[test]
fn a_name_that_no_response_has_means_what_was_shown_under_its_tag() {
    let steps = [
        exchange("MAC", &item("Data", "01"), &(ID.to_owned() + &item("MACData", "aa01"))),
        exchange("MAC", &item("Data", "02"), &(ID.to_owned() + &item("MACData", "aa02"))),
        exchange("MACVerify", &item("MACData", "$MAC_DATA"), ID),
        exchange("MACVerify", &item("MACData", "$MAC_DATA_0"), ID),
    ];
    let (verdicts, server) = replay_with(&[("it", &steps.concat())], &same);
    assert_eq!(verdicts, [Verdict::Passed]);
    assert!(server.asked[2].contains("value=\"AA02\"") || server.asked[2].contains("value=\"aa02\""));
    assert!(server.asked[3].to_lowercase().contains("value=\"aa01\""));
    let unknown = exchange("MACVerify", &item("MACData", "$SIGNATURE_DATA"), ID);
    let (verdicts, _) = replay_with(&[("it", &unknown)], &same);
    assert!(failed(&verdicts[0]), "nothing was shown under that tag");
}

#[test]
fn a_random_ciphertext_has_to_hold_the_plaintext() {
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
    use aws_lc_rs::rsa::{
        KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PrivateDecryptingKey,
    };
    let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).expect("a key");
    let pkcs8: Pkcs8V1Der<'_> = private.as_der().expect("PKCS#8");
    let spki: PublicKeyX509Der<'_> = private.public_key().as_der().expect("SPKI");
    let parameters = "<Attribute><AttributeName type=\"TextString\" value=\"Cryptographic Parameters\"/>\
        <AttributeValue><PaddingMethod type=\"Enumeration\" value=\"OAEP\"/>\
        <HashingAlgorithm type=\"Enumeration\" value=\"SHA_256\"/>\
        <MaskGenerator type=\"Enumeration\" value=\"MGF1\"/>\
        <MaskGeneratorHashingAlgorithm type=\"Enumeration\" value=\"SHA_256\"/></AttributeValue></Attribute>";
    let literal = "ab".repeat(256);
    let encrypt = register("PublicKey", "X_509", spki.as_ref(), parameters)
        + &exchange(
            "Encrypt",
            &(ID.to_owned() + &item("Data", "0102")),
            &(ID.to_owned() + &item("Data", &literal)),
        );
    let other = register("PrivateKey", "PKCS_8", pkcs8.as_ref(), "");

    let public = OaepPublicEncryptingKey::new(private.public_key()).expect("a key");
    let encrypted = |algorithm, plaintext: &[u8]| {
        let mut room = vec![0; 256];
        hex::encode(public.encrypt(algorithm, plaintext, &mut room, None).expect("encrypted"))
    };
    let right = encrypted(&OAEP_SHA256_MGF1SHA256, &[1, 2]);
    for (shown, passes) in [
        (right.clone(), true),
        (encrypted(&OAEP_SHA256_MGF1SHA256, &[1, 3]), false),
        (encrypted(&OAEP_SHA1_MGF1SHA1, &[1, 2]), false),
        ("cd".repeat(256), false),
        (right[2..].to_owned(), false),
    ] {
        let instead = |value: &str| if value == literal { shown.clone() } else { value.to_owned() };
        let (verdicts, _) = replay_with(&[("E-1-14", &encrypt), ("E-2-14", &other)], &instead);
        assert_eq!(!failed(&verdicts[0]), passes, "{shown}: {}", verdicts[0]);
    }
    // Where no case has the private key, the length is all that can be told.
    let instead = |value: &str| if value == literal { "cd".repeat(256) } else { value.to_owned() };
    assert_eq!(replay_with(&[("E-1-14", &encrypt)], &instead).0, [Verdict::Passed]);
}

#[test]
fn what_follows_from_a_random_iv_is_sent_back() {
    let parameters =
        "<CryptographicParameters><RandomIV type=\"Boolean\" value=\"true\"/></CryptographicParameters>";
    let steps = exchange(
        "Encrypt",
        &format!("{ID}{parameters}{}", item("Data", "01")).replace("$UNIQUE_IDENTIFIER_0", "42"),
        &format!("{ID}{}{}", item("Data", "a1b1"), item("IVCounterNonce", "a2b2")),
    ) + &exchange(
        "Decrypt",
        &format!("{ID}{}{}", item("Data", "$DATA_0"), item("IVCounterNonce", "$IV_COUNTER_NONCE")),
        &format!("{ID}{}", item("Data", "01")),
    );
    let instead = |value: &str| value.replace("a1b1", "c1d1").replace("a2b2", "c2d2");
    let (verdicts, server) = replay_with(&[("it", &steps)], &instead);
    assert_eq!(verdicts, [Verdict::Passed]);
    let sent = server.asked[1].to_lowercase();
    assert!(sent.contains("value=\"c1d1\"") && sent.contains("value=\"c2d2\""), "{sent}");
    let fixed = steps.replace("value=\"true\"", "value=\"false\"");
    assert!(failed(&replay_with(&[("it", &fixed)], &instead).0[0]), "an IV that is not random");
}

#[test]
fn cases_of_one_group_show_the_same_key() {
    let made = exchange("Create", "<ObjectType type=\"Enumeration\" value=\"SymmetricKey\"/>", ID)
        + &exchange("Get", ID, &(ID.to_owned() + &item("KeyMaterial", "a1a1")));
    let found =
        exchange("Locate", "", ID) + &exchange("Get", ID, &(ID.to_owned() + &item("KeyMaterial", "a1a1")));
    let instead = |value: &str| value.replace("a1a1", "b1b1");
    let (verdicts, _) = replay_with(&[("TL-M-2-14", &made), ("TL-M-3-14", &found)], &instead);
    assert_eq!(verdicts, [Verdict::Passed, Verdict::Passed]);
    // A key that no case made has to be as the case has it.
    let (verdicts, _) = replay_with(&[("TL-M-3-14", &found)], &instead);
    assert!(failed(&verdicts[0]));
}

#[test]
fn a_server_answers_in_the_version_of_the_request() {
    let steps = exchange("Ping", "", "");
    let at = steps.find("<ResponseMessage>").expect("a response");
    let minor = "<ProtocolVersionMinor type=\"Integer\" value=\"4\"/>";
    let erratum = |text: &str, other: &str| text.replace(minor, &minor.replace('4', other));
    let says_3 = format!("{}{}", &steps[..at], erratum(&steps[at..], "3"));
    let answers_4 = replay_with(&[("it", &says_3)], &|value| value.replace('3', "4"));
    assert_eq!(answers_4.0, [Verdict::Passed], "whatever the case shows");
    assert!(failed(&replay_with(&[("it", &steps)], &|value| value.replace('4', "2")).0[0]));
}
