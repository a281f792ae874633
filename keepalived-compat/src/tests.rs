//! The language as a whole: one text in, values and diagnostics out.

use crate::config::Assembly;
use crate::keywords::{self, Opens, Place, Say, Shape, Status};
use crate::preprocess;
use crate::{Code, Config, Options, Parsed, Reader, Severity};

/// Files in memory: name and text.
struct Memory<'a>(&'a [(&'a str, &'a str)]);

impl Reader for Memory<'_> {
    fn resolve(&mut self, pattern: &str, _: Option<&str>) -> Result<Vec<String>, String> {
        let all = pattern.strip_suffix('*');
        let fits = |name: &str| all.map_or(name == pattern, |start| name.starts_with(start));
        Ok(self.0.iter().map(|(name, _)| *name).filter(|n| fits(n)).map(str::to_owned).collect())
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, String> {
        let found = self.0.iter().find(|(n, _)| *n == name);
        found.map(|(_, text)| text.as_bytes().to_vec()).ok_or_else(|| "no such file".to_owned())
    }
}

fn parse(text: &str) -> Parsed {
    files(&[("main", text)])
}

fn files(files: &[(&str, &str)]) -> Parsed {
    crate::parse(&mut Memory(files), "main", Options { config_id: "low", vrrp: true, checker: true })
}

fn codes(parsed: &Parsed) -> Vec<Code> {
    parsed.diagnostics.iter().map(|d| d.code).collect()
}

/// The priority of the first instance.
fn priority(parsed: &Parsed) -> Option<u8> {
    parsed.config.instances.first()?.settings.priority.map(|p| p.value)
}

fn instance(body: &str) -> String {
    format!("vrrp_instance A {{\n{body}\n}}\n")
}

#[test]
fn an_empty_text_is_an_empty_configuration() {
    let parsed = parse("");
    assert_eq!((parsed.config, parsed.diagnostics), (Config::default(), vec![]));
}

#[test]
fn crlf_tabs_and_a_missing_last_newline_are_fine() {
    let parsed = parse("vrrp_instance A {\r\n\tpriority 7\r\n}");
    assert_eq!((priority(&parsed), codes(&parsed)), (Some(7), vec![]));
}

#[test]
fn an_unknown_keyword_is_said_with_its_place_and_skipped_with_its_block() {
    let parsed = parse(&instance("prioriti {\npriority 1\n}\npriority 9"));
    assert_eq!((priority(&parsed), codes(&parsed)), (Some(9), vec![Code::UnknownKeyword]));
    let text = parsed.diagnostics[0].render(&parsed.sources);
    assert!(text.starts_with("error[HF0007]: unknown keyword `prioriti`\n --> main:2:1\n"), "{text}");
    assert!(text.ends_with("= instead: did you mean `priority`?"), "{text}");
}

#[test]
fn a_forgotten_brace_is_blamed_on_the_block_that_lacks_it() {
    let whole = |name: &str| {
        format!(
            "vrrp_instance {name} {{\ninterface eth0\nvirtual_router_id 9\nvirtual_ipaddress {{ 192.0.2.9 }}\n"
        )
    };
    let parsed = parse(&format!("{}{}}}\n{}}}\n", whole("A"), whole("B"), whole("C")));
    assert_eq!(codes(&parsed), [Code::Brace]);
    let blamed = &parsed.diagnostics[0];
    assert_eq!(parsed.sources.position(blamed.span.expect("a place")).expect("inside").line, 1);
    assert_eq!(blamed.now, "the block ends before `vrrp_instance B`");
    // Those after it are instances of their own.
    let names: Vec<_> = parsed.config.instances.iter().map(|i| i.name.value.as_str()).collect();
    assert_eq!(names, ["A", "B", "C"]);
    // In a block that is closed another one is only out of place.
    let parsed = parse(&format!("{}vrrp_script x {{\nscript /bin/true\n}}\npriority 9\n}}\n", whole("A")));
    assert_eq!((priority(&parsed), codes(&parsed)), (Some(9), vec![Code::UnknownKeyword]));
    assert!(parsed.diagnostics[0].instead.contains("close the blocks above"), "{:?}", parsed.diagnostics[0]);
}

#[test]
fn a_missing_word_is_fatal() {
    let parsed = parse(&instance("priority"));
    assert_eq!(codes(&parsed), [Code::MissingWord]);
    assert!(Code::MissingWord.is_fatal() && Code::MissingWord.status() == 2);
    // In every block.
    assert_eq!(codes(&parse("vrrp_script x {\nscript y\ninterval\n}")), [Code::MissingWord]);
    // Some keywords are left out without their word, as in keepalived.
    assert_eq!(
        codes(&parse("global_defs {\nrouter_id\n}\nvrrp_instance {\n}")),
        [Code::BadValue, Code::BadValue]
    );
}

#[test]
fn a_number_with_rubbish_behind_it_still_counts() {
    let parsed = parse(&instance("priority 90x"));
    assert_eq!((priority(&parsed), codes(&parsed)), (Some(90), vec![Code::BadValue]));
}

#[test]
fn lines_too_long_or_with_nul_are_left_out() {
    let long = format!("priority 1 {}", "x".repeat(crate::MAX_LINE));
    for line in [long.as_str(), "priority 1\0"] {
        let parsed = parse(&instance(line));
        assert_eq!((priority(&parsed), codes(&parsed)), (None, vec![Code::Line]));
    }
}

#[test]
fn an_open_quote_is_an_error() {
    assert_eq!(codes(&parse("global_defs {\nrouter_id \"a b\n}")), [Code::Quote]);
    // keepalived 2.2.7 leaves the script out too, and ends with a broken memory when it is that of a vrrp_script.
    let said = codes(&parse("vrrp_script x {\nscript \"a b\n}"));
    assert_eq!(said, [Code::Quote, Code::BadValue]);
}

#[test]
fn id_lines_are_kept_or_dropped() {
    let parsed = parse(&instance("@low priority 1\n@high priority 2\n@^low priority 3\n@^high advert_int 2"));
    assert_eq!((priority(&parsed), codes(&parsed)), (Some(1), vec![]));
    assert!(parsed.config.instances[0].settings.advert_int.is_some());
    assert_eq!(codes(&parse("@low\n@ x")), [Code::NoEffect, Code::NoEffect]);
}

#[test]
fn definitions_are_substituted_when_used() {
    let parsed = parse("$P=1\n$Q=${P}\n$P=4\nvrrp_instance A {\npriority ${Q}2\n}");
    assert_eq!((priority(&parsed), codes(&parsed)), (Some(42), vec![]));
    // The place of a word is the place of the reference.
    let parsed = parse("$P=999\nvrrp_instance A {\npriority $P\n}");
    let position = parsed.sources.position(parsed.diagnostics[0].span.expect("a place")).expect("inside");
    assert_eq!((position.line, position.column), (3, 10));
}

#[test]
fn definitions_of_several_lines_nest() {
    let text = "$ID=9\n$IN= \\\n  priority $ID \\\n  advert_int 2\n$ALL= \\\nvrrp_instance A { \\\n\n@high priority 1 \\\n  $IN \\\n}\n$ALL\n";
    let parsed = parse(text);
    assert_eq!((priority(&parsed), codes(&parsed)), (Some(9), vec![]));
    assert!(parsed.config.instances[0].settings.advert_int.is_some());
}

#[test]
fn a_definition_that_names_itself_comes_to_an_end() {
    for text in
        ["$A=$A\n$A", "$A=$A$A x\n$A", "$A= \\\nx \\\n$A\n$A", "$A= \\\n$B \\\n$B\n$B= \\\n$A \\\n$A\n$A"]
    {
        assert!(parse(text).diagnostics.len() <= crate::MAX_DIAGNOSTICS, "{text}");
    }
}

#[test]
fn an_unknown_definition_stays_as_written_and_is_hinted_at_once() {
    let parsed = parse(&instance("interface $IF\ninterface $IF"));
    assert_eq!(codes(&parsed), [Code::Undefined]);
    assert_eq!(parsed.diagnostics[0].severity(), Severity::Hint);
    let interface = parsed.config.instances[0].settings.interface.as_ref().map(|i| i.value.as_str());
    assert_eq!(interface, Some("$IF"));
}

#[test]
fn generators_repeat_lines() {
    let parsed = parse("~SEQ(N, 10, 5, 20) vrrp_instance A${N} { priority $N }\n");
    let read: Vec<_> = parsed
        .config
        .instances
        .iter()
        .map(|i| (i.name.value.as_str(), i.settings.priority.map(|p| p.value)))
        .collect();
    assert_eq!(read, [("A10", Some(10)), ("A15", Some(15)), ("A20", Some(20))]);
    // Several on a line, a definition of several lines, an argument that is a definition.
    let text = "$END=2\n$VI= \\\nvrrp_instance V${A}${B} { \\\npriority ${A}${B} \\\n}\n~SEQ(A, ${END}) ~LST(B, 7, 8) $VI\n";
    let parsed = parse(text);
    let names: Vec<_> = parsed.config.instances.iter().map(|i| i.name.value.as_str()).collect();
    assert_eq!((names, codes(&parsed)), (vec!["V17", "V18", "V27", "V28"], vec![]));
    assert_eq!(codes(&parse("~SEQ(N, 0, 0, 1) x")), [Code::BadValue]);
    assert_eq!(codes(&parse("~SEQ(N, 1")), [Code::BadValue]);
    let endless = "~SEQ(A, 60000) ~SEQ(B, 60000) ~SEQ(C, 60000)";
    assert_eq!(codes(&parse(endless)).last(), Some(&Code::Limit));
}

#[test]
fn a_definition_ends_with_its_file() {
    let parsed = files(&[("main", "include a\nvrrp_instance A {\n$P\n}"), ("a", "$P= \\\npriority 3 \\")]);
    assert_eq!((priority(&parsed), codes(&parsed)), (Some(3), vec![Code::BadValue]));
}

#[test]
fn includes_stand_where_they_are_written() {
    let parsed = files(&[
        ("main", "vrrp_instance A {\ninclude part*\n}"),
        ("part1", "priority 3"),
        ("part2", "advert_int 2"),
    ]);
    assert_eq!((priority(&parsed), codes(&parsed)), (Some(3), vec![]));
    assert_eq!(codes(&files(&[("main", "include missing\n")])), [Code::Include]);
    let parsed = files(&[("main", "includem missing\n")]);
    assert!(codes(&parsed) == [Code::RequiredInclude] && Code::RequiredInclude.is_fatal());
    assert_eq!(codes(&files(&[("main", "include a"), ("a", "include main")])), [Code::Include]);
    assert_eq!(codes(&files(&[("other", "")])), [Code::MainFile]);
}

/// The blocks around a place whose keywords the readers see.
fn around(place: Place) -> Option<(&'static str, &'static str)> {
    Some(match place {
        Place::Root => ("", ""),
        Place::GlobalDefs => ("global_defs {\n", "}"),
        Place::VrrpInstance => ("vrrp_instance A {\n", "}"),
        Place::Authentication => ("vrrp_instance A {\nauthentication {\n", "}\n}"),
        Place::VirtualServer => ("virtual_server 192.0.2.1 80 {\n", "}"),
        Place::RealServer => ("virtual_server 192.0.2.1 80 {\nreal_server 192.0.2.2 80 {\n", "}\n}"),
        Place::TcpCheck => {
            ("virtual_server 192.0.2.1 80 {\nreal_server 192.0.2.2 80 {\nTCP_CHECK {\n", "}\n}\n}")
        }
        Place::PingCheck => {
            ("virtual_server 192.0.2.1 80 {\nreal_server 192.0.2.2 80 {\nPING_CHECK {\n", "}\n}\n}")
        }
        Place::HttpGet => {
            ("virtual_server 192.0.2.1 80 {\nreal_server 192.0.2.2 80 {\nHTTP_GET {\n", "}\n}\n}")
        }
        Place::HttpUrl => {
            ("virtual_server 192.0.2.1 80 {\nreal_server 192.0.2.2 80 {\nHTTP_GET {\nurl {\n", "}\n}\n}\n}")
        }
        _ => return None,
    })
}

#[test]
fn every_keyword_is_known_in_its_place() {
    let mut tried = 0;
    for (place, list) in keywords::places() {
        let Some((before, after)) = around(place) else { continue };
        for keyword in list.iter().filter(|k| !k.name.starts_with('(')) {
            let block = if keyword.opens == Opens::Nothing { "" } else { " {\n}" };
            let text = format!("{before}{} 192.0.2.1 1{block}\n{after}", keyword.name);
            let mut diagnostics = Vec::new();
            let mut assembly = Assembly::new(&mut diagnostics);
            let mut add = |statement| {
                assembly.add(&statement);
                Some(statement)
            };
            preprocess::read(&mut Memory(&[("main", &text)]), "main", "low", &mut add);
            let unknown = diagnostics.iter().find(|d| d.code == Code::UnknownKeyword);
            assert_eq!(unknown.map(|d| &d.title), None, "{}", place.path());
            tried += 1;
        }
    }
    assert!(tried > 350, "only {tried} keywords were tried");
}

#[test]
fn what_is_not_built_is_said_once_and_loudly_where_traffic_is_at_stake() {
    for (place, list) in keywords::places() {
        let Some((before, after)) = around(place) else { continue };
        for keyword in list {
            let Status::NotYet { say, .. } = keyword.status else { continue };
            let block = if keyword.opens == Opens::Nothing { "" } else { " {\n}" };
            let value = if keyword.shape == Shape::Bool { "on" } else { "192.0.2.1 1" };
            let line = format!("{} {value}{block}\n", keyword.name);
            let parsed = parse(&format!("{before}{line}{line}{after}"));
            let of = |code| codes(&parsed).into_iter().filter(|c| *c == code).count();
            let (quiet, loud) = (of(Code::NotYet), of(Code::NotYetTraffic));
            match say {
                Say::Warning => assert_eq!((quiet, loud), (1, 0), "{}", keyword.name),
                Say::Error => assert_eq!((quiet, loud), (0, 1), "{}", keyword.name),
            }
        }
    }
}
