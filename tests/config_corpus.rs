//! Whole configuration files through `compile`: the ones beside this test, and with HOLDFAST_SHARED set the public
//! corpus that was tried with keepalived 2.4.3.

use holdfast::link::Compiled;
use holdfast::net::AddressFamily;
use holdfast::plan::Generation;
use holdfast::plan::vrrp::{Transport, Version};
use holdfast::role::compile::{CompileRequest, compile, config_test};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn request(file: &Path) -> CompileRequest {
    CompileRequest {
        file: file.to_owned(),
        config_id: Some("no-such-id".to_owned()),
        generation: Generation(1),
        want_vrrp: true,
        want_checker: true,
        snmp: false,
        snmp_socket: None,
        interface_exists: |_| true,
        address_exists: |_| true,
    }
}

fn own(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs").join(name)
}

fn compiled(name: &str) -> Compiled {
    compile(&request(&own(name)))
}

/// A row of the corpus index.
struct Row {
    file: String,
    /// Exit status of `keepalived -t` without any interface.
    bare_status: String,
    /// Exit status of `keepalived -t` with all interfaces present.
    test_status: String,
    /// The interfaces that were present then.
    interfaces: String,
    /// What the daemon did with its virtual routers.
    run: String,
}

fn index(corpus: &Path) -> Vec<Row> {
    let text = std::fs::read_to_string(corpus.join("INDEX.tsv")).expect("the corpus has an index");
    let row = |line: &str| {
        let columns: Vec<&str> = line.split('\t').collect();
        let column = |n: usize| columns.get(n).copied().unwrap_or_default().to_owned();
        Row {
            file: column(0),
            bare_status: column(5),
            test_status: column(6),
            interfaces: column(7),
            run: column(9),
        }
    };
    text.lines().skip(1).map(row).filter(|row| !row.file.is_empty()).collect()
}

/// Routers that keepalived started: `BACKUP:1,MASTER:2` is 3; `None` when it started none or it is not known.
fn started(run: &str) -> Option<usize> {
    let counts = run.split(',').map(|part| part.split_once(':').and_then(|(_, n)| n.parse::<usize>().ok()));
    counts.sum::<Option<usize>>().filter(|n| *n > 0)
}

/// What differs for a file of the corpus: the file, what was asked, and the reason's key in
/// [`keepalived_compat::document::DIFFERENCES`], which docs/compat.md prints.
const LISTED: &[(&str, &str, &str)] = &[
    ("001.conf", RUN, "missing-interface"),
    ("048.conf", RUN, "script-pending"),
    ("090.conf", BARE, "crash"),
    ("090.conf", PRESENT, "crash"),
    ("092.conf", BARE, "endless-definition"),
    ("092.conf", PRESENT, "endless-definition"),
    ("110.conf", RUN, "missing-interface"),
    ("112.conf", RUN, "missing-interface"),
    ("134.conf", RUN, "missing-interface"),
];

/// What was asked.
const BARE: &str = "-t, no interface";
const PRESENT: &str = "-t, all interfaces";
const RUN: &str = "run";

/// Interfaces that the index names for one file at most: there may have been more.
const NAMED: usize = 12;

thread_local! {
    static INTERFACES: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// A difference as the table prints it.
struct Difference {
    file: String,
    asked: &'static str,
    theirs: String,
    ours: String,
    said: String,
}

/// Compares one file: `-t` without and with interfaces, and the virtual routers that run.
fn compared(corpus: &Path, row: &Row) -> Vec<Difference> {
    let mut found = Vec::new();
    let none: fn(&str) -> bool = |_| false;
    // Those that were there when keepalived was asked.
    INTERFACES.set(row.interfaces.split(',').map(str::to_owned).collect());
    let present: fn(&str) -> bool =
        |name| INTERFACES.with_borrow(|known| known.len() >= NAMED || known.contains(name));
    for (asked, exists, theirs) in [(BARE, none, &row.bare_status), (PRESENT, present, &row.test_status)] {
        let mut printed = Vec::new();
        let request = CompileRequest { interface_exists: exists, ..request(&corpus.join(&row.file)) };
        let ours = config_test(&request, &mut printed).to_string();
        if ours != *theirs {
            let said = String::from_utf8_lossy(&printed);
            let said: Vec<&str> = said.lines().filter(|l| l.contains("[HF")).take(12).collect();
            let (file, theirs) = (row.file.clone(), theirs.clone());
            found.push(Difference { file, asked, theirs, ours, said: said.join("; ") });
        }
    }
    let compiled = compile(&request(&corpus.join(&row.file)));
    let ours = compiled.plans.as_ref().map(|p| p.vrrp.routers.len());
    // A router is counted by the last state it reached; a daemon that refused the file reached none.
    let agrees = match (started(&row.run), row.run.as_str()) {
        (Some(theirs), _) => ours == Some(theirs),
        (None, "EXIT-CONFIG") => ours.is_none_or(|n| n == 0),
        _ => true,
    };
    if !agrees {
        let said =
            compiled.diagnostics.iter().filter_map(|d| d.lines().next()).filter(|l| l.starts_with("err"));
        let ours = ours.map_or("refused".to_owned(), |n| format!("{n} routers"));
        let said = said.take(8).collect::<Vec<_>>().join("; ");
        found.push(Difference { file: row.file.clone(), asked: RUN, theirs: row.run.clone(), ours, said });
    }
    found
}

#[test]
fn the_corpus_is_read_as_keepalived_reads_it() {
    let reasons = keepalived_compat::document::DIFFERENCES;
    for (file, asked, key) in LISTED {
        assert!(reasons.iter().any(|r| r.key == *key), "{file} {asked}: no reason is called {key}");
    }
    let Some(shared) = std::env::var_os("HOLDFAST_SHARED") else {
        assert_eq!(compiled("pair.conf").plans.map(|p| p.vrrp.routers.len()), Some(2));
        return;
    };
    let corpus = Path::new(&shared).join("corpus");
    let rows = index(&corpus);
    let found: Vec<Difference> = rows.iter().flat_map(|row| compared(&corpus, row)).collect();
    let mut unlisted = Vec::new();
    println!("{} files, {} differences", rows.len(), found.len());
    for Difference { file, asked, theirs, ours, said } in &found {
        let key = LISTED.iter().find(|(f, a, _)| f == file && a == asked).map(|(.., key)| *key);
        println!("  {file}, {asked}: keepalived {theirs}, holdfast {ours}: {}", key.unwrap_or("no reason"));
        if key.is_none() {
            unlisted.push(format!("{file}, {asked}: keepalived {theirs}, holdfast {ours}: {said}"));
        }
    }
    for (file, asked, _) in LISTED {
        if !found.iter().any(|d| d.file == *file && d.asked == *asked) {
            println!("  {file}, {asked}: listed, and no longer different");
        }
    }
    assert!(rows.len() > 80, "the index holds the corpus");
    assert!(unlisted.is_empty(), "{}", unlisted.join("\n"));
}

/// Diagnostics are part of the product: this is how they look, for a person who writes one file with most mistakes.
#[test]
fn diagnostics_look_as_kept() {
    let mut printed = Vec::new();
    let status = config_test(&request(&own("broken.conf")), &mut printed);
    let directory = own("").to_string_lossy().into_owned();
    let printed = String::from_utf8(printed).expect("diagnostics are text").replace(&directory, "");
    let kept = own("broken.expected");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&kept, &printed).expect("tests/configs is there");
    }
    let want = std::fs::read_to_string(&kept).expect("tests/configs/broken.expected is there");
    assert!(printed == want, "run with UPDATE=1 and look at the difference:\n{printed}");
    assert_eq!(status, 5);
    assert!(!printed.contains("not-to-be-shown"));
    assert_eq!(compiled("broken.conf").plans, None, "two instances are one virtual router");
}

#[test]
fn the_text_layer_makes_the_same_plan_as_plain_text() {
    let plans = compiled("text.conf").plans.expect("plans");
    let [router] = plans.vrrp.routers.as_slice() else { panic!("{:?}", plans.vrrp) };
    assert_eq!((router.name.as_str(), router.key.interface.as_str()), ("one two", "eth0"));
    assert_eq!((router.priority.0, router.interval.centiseconds()), (100, 100));
    let addresses: Vec<_> =
        router.addresses.iter().map(|a| (a.cidr.to_string(), a.interface.as_deref())).collect();
    assert_eq!(addresses, [("192.0.2.10/24".to_owned(), None), ("192.0.2.11/24".to_owned(), Some("eth0"))]);
    let [server] = plans.lvs.virtual_servers.as_slice() else { panic!("{:?}", plans.lvs) };
    assert_eq!((server.keys.len(), server.scheduler_flags, server.real_servers.len()), (4, 0x10, 2));
    // Tests run in the directory of the package: a relative name is the same file.
    assert_eq!(compile(&request(Path::new("tests/configs/text.conf"))).plans.as_ref(), Some(&plans));
    let lb1 = CompileRequest { config_id: Some("lb1".to_owned()), ..request(&own("text.conf")) };
    let router = &compile(&lb1).plans.expect("plans").vrrp.routers[0];
    assert_eq!((router.priority.0, router.interval.centiseconds()), (200, 300));
}

/// Where the page is kept.
const COMPAT_PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/compat.md");

#[test]
fn compat_page_is_up_to_date() {
    let page = keepalived_compat::document::compatibility();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(COMPAT_PAGE, &page).expect("docs/ is there");
    }
    let kept = std::fs::read_to_string(COMPAT_PAGE).expect("docs/compat.md is there");
    assert!(kept == page, "docs/compat.md is out of date: run this test with UPDATE=1");
}

#[test]
fn every_keyword_of_keepalived_is_known_at_its_place() {
    let known = |path: &str, name: &str| {
        keepalived_compat::keywords::places()
            .any(|(place, list)| place.path() == path && list.iter().any(|k| k.name == name))
    };
    assert!(known("vrrp_instance", "advert_int") && !known("vrrp_instance", "lb_algo"));
    let Some(shared) = std::env::var_os("HOLDFAST_SHARED") else { return };
    let table = std::fs::read_to_string(Path::new(&shared).join("reference/keywords.tsv")).expect("the list");
    let rows: Vec<(&str, &str)> = table
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once('\t'))
        .map(|(place, rest)| (place, rest.split('\t').next().unwrap_or_default()))
        .collect();
    let missing: Vec<_> = rows.iter().filter(|(place, name)| !known(place, name)).collect();
    assert!(missing.is_empty() && rows.len() > 800, "{} rows, missing {missing:?}", rows.len());
    let others = table.lines().skip(1).filter_map(|row| other_default(&row.split('\t').collect::<Vec<_>>()));
    assert_eq!(others.collect::<Vec<_>>(), [""; 0]);
}

/// Says when the table's default of a keyword is another one than the reference's (its fourth column).
fn other_default(row: &[&str]) -> Option<String> {
    let [path, name, arguments, theirs, ..] = row else { return Some(format!("{row:?}")) };
    let (place, _) = keepalived_compat::keywords::places().find(|(place, _)| place.path() == *path)?;
    let ours = keepalived_compat::keywords::default(place, name)?;
    // `0 (none)`, `100; 255 if ...`: the value comes first.
    let value = theirs.split([' ', ';']).next().unwrap_or_default();
    let value = if arguments.contains("[BOOL]") && value == "false" { "off" } else { value };
    (ours != value).then(|| format!("{path} {name}: {ours} instead of {theirs}"))
}

/// One text as the whole configuration.
struct Memory(Vec<u8>);

impl keepalived_compat::Reader for Memory {
    fn resolve(&mut self, pattern: &str, from: Option<&str>) -> Result<Vec<String>, String> {
        if from.is_none() { Ok(vec![pattern.to_owned()]) } else { Err("there are no other files".to_owned()) }
    }

    fn read(&mut self, _: &str) -> Result<Vec<u8>, String> {
        Ok(self.0.clone())
    }
}

/// Parses, lowers, renders; checks what every plan promises.
fn survives(text: Vec<u8>) {
    let options = keepalived_compat::Options { config_id: "low", vrrp: true, checker: true };
    let parsed = keepalived_compat::parse(&mut Memory(text), "main", options);
    let lowered = holdfast::config::lower(&parsed.config, Generation(1));
    for diagnostic in parsed.diagnostics.iter().chain(&lowered.diagnostics).take(50) {
        let text = diagnostic.render(&parsed.sources);
        assert!(text.lines().all(|line| !line.chars().any(char::is_control)), "{text:?}");
        assert!(!diagnostic.title.is_empty() && !diagnostic.now.is_empty());
    }
    let mut keys = std::collections::BTreeSet::new();
    for router in &lowered.plans.vrrp.routers {
        assert!(keys.insert(router.key.clone()), "two routers {:?}", router.key);
        assert!(router.addresses.len() <= 255 && router.priority.0 > 0 && router.down_timer_adverts > 0);
        assert!(router.addresses.iter().all(|a| a.cidr.family() == router.key.family));
        assert!(router.key.family == AddressFamily::V4 || router.version == Version::V3);
        if let Transport::Unicast { peers, .. } = &router.transport {
            assert!(!peers.is_empty());
        }
    }
    let mut services = std::collections::BTreeSet::new();
    for server in &lowered.plans.lvs.virtual_servers {
        assert!(!server.keys.is_empty() && !server.real_servers.is_empty());
        assert!(server.keys.iter().all(|key| services.insert(*key)), "a service twice: {:?}", server.keys);
        assert!(server.quorum > server.hysteresis && server.scheduler.len() <= 15);
        let endpoints: std::collections::BTreeSet<_> =
            server.real_servers.iter().map(|r| r.endpoint).collect();
        assert_eq!(endpoints.len(), server.real_servers.len());
    }
}

/// The files beside this test, and the corpus.
fn texts() -> Vec<Vec<u8>> {
    let mut directories = vec![own("")];
    directories.extend(std::env::var_os("HOLDFAST_SHARED").map(|shared| Path::new(&shared).join("corpus")));
    let files =
        directories.iter().flat_map(|d| std::fs::read_dir(d).expect("a directory").filter_map(Result::ok));
    let configurations = files.filter(|f| f.file_name().to_string_lossy().ends_with(".conf"));
    // One file of the corpus is a hundred times as large as the others and would take all the time.
    configurations.filter_map(|f| std::fs::read(f.path()).ok()).filter(|text| text.len() < 16_384).collect()
}

/// What happens to a line of a real file.
#[derive(Clone, Debug)]
enum Change {
    Drop,
    Double,
    Cut(usize),
    Byte(usize, u8),
    Word(usize, &'static str),
    Swap(usize),
}

fn change() -> impl Strategy<Value = Change> {
    let word = prop::sample::select(vec![
        "{",
        "}",
        "\"",
        "0",
        "-1",
        "255",
        "99999999999",
        "0.5",
        "fwmark",
        "group",
        "MASTER",
        "10.0.0.1",
        "fe80::1/64",
        "$A",
        "~SEQ(A, 3)",
        "~LST(A, x, y)",
        "${A}",
        "@low",
        "include x",
        "#",
        "\\",
        "weight",
        "TUN type gue port 1",
        "virtual_server",
        "\u{fffd}",
    ]);
    prop_oneof![
        Just(Change::Drop),
        Just(Change::Double),
        any::<usize>().prop_map(Change::Cut),
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        (any::<usize>(), word).prop_map(|(at, word)| Change::Word(at, word)),
        any::<usize>().prop_map(Change::Swap),
    ]
}

fn changed(text: &[u8], changes: &[(usize, Change)]) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = text.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    for (at, change) in changes {
        let at = at % lines.len();
        let length = lines[at].len();
        match change {
            Change::Drop => lines[at].clear(),
            Change::Double => lines.insert(at, lines[at].clone()),
            Change::Cut(n) => lines[at].truncate(n % (length + 1)),
            Change::Byte(n, byte) if length > 0 => lines[at][n % length] = *byte,
            Change::Byte(_, byte) => lines[at].push(*byte),
            Change::Word(n, word) => {
                let n = n % (length + 1);
                lines[at].splice(n..n, word.bytes());
            }
            Change::Swap(n) => {
                let other = n % lines.len();
                lines.swap(at, other);
            }
        }
    }
    lines.join(&b'\n')
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        survives(bytes);
    }

    #[test]
    fn any_words_are_survived(words in prop::collection::vec(word(), 0..200)) {
        survives(words.join(" ").into_bytes());
    }

    #[test]
    fn damaged_files_are_survived(
        file in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<usize>(), change()), 1..12),
    ) {
        let texts = texts();
        survives(changed(&texts[file.index(texts.len())], &changes));
    }
}

/// A word that the parser knows, a value, a brace or a line end.
fn word() -> impl Strategy<Value = String> {
    let keywords: Vec<String> = keepalived_compat::keywords::places()
        .flat_map(|(_, list)| list.iter().map(|k| k.name.to_owned()))
        .collect();
    let values = [
        "\n",
        "{",
        "}",
        "\n",
        "{",
        "}",
        "1",
        "255",
        "0.1",
        "eth0",
        "10.0.0.1",
        "10.0.0.2/24",
        "::1",
        "DR",
        "sh",
    ];
    prop_oneof![
        prop::sample::select(keywords),
        prop::sample::select(values.to_vec()).prop_map(str::to_owned),
        "[ -~]{0,8}",
    ]
}
