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
