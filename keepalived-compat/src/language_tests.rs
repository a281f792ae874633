//! Includes, definitions and their limits: what a text stands for, and what is said when it stands for nothing.

use crate::{Code, Options, Parsed, Reader};

/// Files in memory, as [`Reader`] wants them; a name that holds `broken` cannot be read.
struct Memory<'a>(&'a [(&'a str, &'a str)]);

impl Reader for Memory<'_> {
    fn resolve(&mut self, pattern: &str, _: Option<&str>) -> Result<Vec<String>, String> {
        let Some(start) = pattern.strip_suffix('*') else { return Ok(vec![pattern.to_owned()]) };
        Ok(self.0.iter().map(|(n, _)| (*n).to_owned()).filter(|n| n.starts_with(start)).collect())
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, String> {
        let found = self.0.iter().find(|(n, _)| *n == name && !n.contains("broken"));
        found.map(|(_, text)| text.as_bytes().to_vec()).ok_or_else(|| "permission denied".to_owned())
    }

    fn exists(&mut self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| *n == name)
    }

    fn variable(&mut self, name: &str) -> Option<String> {
        (name == "PRIO").then(|| "77\n}".to_owned())
    }

    fn seed(&mut self) -> u64 {
        5
    }
}

fn read(files: &[(&str, &str)]) -> Parsed {
    crate::parse(&mut Memory(files), "main", Options { config_id: "low", vrrp: true, checker: true })
}

fn codes(parsed: &Parsed) -> Vec<Code> {
    parsed.diagnostics.iter().map(|d| d.code).collect()
}

fn priorities(parsed: &Parsed) -> Vec<u8> {
    parsed.config.instances.iter().filter_map(|i| i.settings.priority).map(|p| p.value).collect()
}

/// What is said about one line, with the files `a1`, `a2` and `broken` beside it.
fn about(line: &str) -> Vec<Code> {
    codes(&read(&[("main", line), ("a1", ""), ("a2", ""), ("broken", "")]))
}

#[test]
fn each_include_insists_on_its_own() {
    const SOFT: &[Code] = &[Code::Include];
    const NOTHING: &[Code] = &[Code::NoEffect];
    const HARD: &[Code] = &[Code::RequiredInclude];
    for (keyword, unreadable, plain, wild, brace) in [
        ("include", SOFT, SOFT, NOTHING, SOFT),
        ("includer", HARD, SOFT, NOTHING, SOFT),
        ("includem", HARD, HARD, NOTHING, SOFT),
        ("includew", HARD, HARD, HARD, SOFT),
        ("includeb", HARD, SOFT, NOTHING, HARD),
        ("includea", HARD, HARD, HARD, HARD),
    ] {
        assert_eq!(about(&format!("{keyword} a1")), [], "{keyword}");
        assert_eq!(about(&format!("{keyword} a{{1,2}}")), [], "{keyword}");
        assert_eq!(about(&format!("{keyword} broken")), unreadable, "{keyword} broken");
        assert_eq!(about(&format!("{keyword} none")), plain, "{keyword} none");
        assert_eq!(about(&format!("{keyword} none*")), wild, "{keyword} none*");
        assert_eq!(about(&format!("{keyword} a{{1,9}}")), brace, "{keyword} a{{1,9}}");
    }
}

#[test]
fn include_check_lasts_to_the_end_of_its_file() {
    let check = |words: &str, rest: &str| {
        let main = format!("global_defs {{\ninclude_check {words}\n}}\n{rest}");
        let mut said = codes(&read(&[("main", &main), ("sub", "global_defs {\ninclude_check -match\n}\n")]));
        said.retain(|c| matches!(c, Code::Include | Code::RequiredInclude));
        said
    };
    assert_eq!(check("", "include none"), [Code::RequiredInclude]);
    assert_eq!(check("match", "include none"), [Code::RequiredInclude]);
    assert_eq!(check("wildcard_match", "include none"), [Code::Include]);
    assert_eq!(check("match\ninclude_check -match", "include none"), [Code::Include]);
    assert_eq!(check("match\ninclude_check +read", "include none"), [Code::RequiredInclude]);
    assert_eq!(check("match", "include sub\ninclude none"), [Code::RequiredInclude], "restored after sub");
}

#[test]
fn an_include_goes_where_it_stands_whatever_is_around_it() {
    let files = |main: &str| read(&[("main", main), ("p", "priority 5"), ("q r", "priority 6")]);
    for (main, want) in [
        ("vrrp_instance A { include p\n}", 5),
        ("vrrp_instance A {\n include q r # and a comment\n}", 6),
        ("$WHICH=p\nvrrp_instance A {\ninclude $WHICH\n}", 5),
        ("$ALL=include p\nvrrp_instance A {\n@low $ALL\n}", 5),
    ] {
        let parsed = files(main);
        assert_eq!((priorities(&parsed), codes(&parsed)), (vec![want], vec![]), "{main}");
    }
    for lost in ["@low include p", "include \"p\"", "include p }"] {
        assert_eq!(codes(&files(&format!("vrrp_instance A {{\n{lost}\n}}"))), [Code::Include], "{lost}");
    }
}

#[test]
fn circles_of_files_and_of_definitions_are_shown() {
    let title = |files: &[(&str, &str)]| read(files).diagnostics.first().map(|d| d.title.clone());
    assert_eq!(
        title(&[("main", "include a"), ("a", "include b"), ("b", "include a")]).as_deref(),
        Some("cannot include a: a: it includes itself (a -> b -> a)")
    );
    for (text, circle) in [
        ("$IF=${IF}\ninterface $IF", "$IF -> $IF"),
        ("$A=x $B\n$B=$C y\n$C=$A\n$A", "$A -> $B -> $C -> $A"),
        ("$A= \\\nx \\\n$B\n$B= \\\ny \\\n$A\n$A", "$A -> $B -> $A"),
    ] {
        let want = format!("substitution does not come to an end: {circle}");
        let parsed = read(&[("main", text)]);
        let limit = parsed.diagnostics.iter().find(|d| d.code == Code::Limit).expect("a limit is reached");
        let turned = |t: &str| t.contains(" -> $A") || t.ends_with("$IF");
        assert!(limit.title == want || turned(&limit.title), "{text}: {}", limit.title);
    }
}

#[test]
fn predefined_names_have_their_values() {
    let parsed = read(&[("main", "vrrp_instance A {\npriority ${_ENV PRIO}\n}")]);
    // The control character of the variable does not make a line: the word goes on.
    assert_eq!(priorities(&parsed), [77]);
    let draws = |seed: &str| {
        let lines = "vrrp_instance A~ {\npriority ${_RANDOM 3 9}\n}\n".repeat(40);
        let numbered: String = lines
            .split('~')
            .enumerate()
            .map(|(n, part)| if n == 0 { part.into() } else { format!("{n}{part}") })
            .collect();
        priorities(&read(&[("main", &format!("global_defs {{\nrandom_seed {seed}\n}}\n{numbered}"))]))
    };
    let one = draws("1");
    assert!(one.len() == 40 && one.iter().all(|p| (3..=9).contains(p)), "{one:?}");
    assert!((3..=9).all(|n| one.contains(&n)), "all values come: {one:?}");
    assert!(one == draws("1") && one != draws("2"), "the seed decides");
    for bad in ["${_RANDOM x}", "${_RANDOM 9 3}", "${_ENV}", "${_RANDOM 1 2 3}"] {
        assert_eq!(about(&format!("$X={bad}\n$Y=1\n~LST(Z, a) interface_{bad}"))[0], Code::BadValue, "{bad}");
    }
}

#[test]
fn a_diagnostic_tells_the_files_and_definitions_it_came_through() {
    let parsed =
        read(&[("main", "$P=x999\nvrrp_instance A {\ninclude sub\n}"), ("sub", "$Q=$P\npriority $Q")]);
    let diagnostic = parsed.diagnostics.first().expect("999 is no priority");
    assert_eq!(
        diagnostic.chain(&parsed.sources),
        ["$Q is defined at sub:1", "$P is defined at main:1", "included at main:3"]
    );
    assert!(diagnostic.render(&parsed.sources).contains("= from: $Q is defined at sub:1"));
}

#[test]
fn too_many_faults_do_not_hide_what_is_fatal() {
    let mut text = "nonsense\n".repeat(crate::MAX_DIAGNOSTICS + 500);
    text += "vrrp_instance A {\npriority\n}\n";
    let said = codes(&read(&[("main", &text)]));
    assert!(said.len() <= crate::MAX_DIAGNOSTICS + 102, "{}", said.len());
    assert_eq!(said.get(crate::MAX_DIAGNOSTICS), Some(&Code::Limit));
    assert_eq!(said.last(), Some(&Code::MissingWord));
}

#[test]
fn nothing_multiplies_without_end() {
    for text in [
        "~SEQ(A, 60000) ~SEQ(B, 60000) ~SEQ(C, 60000)\n",
        "$A= \\\n$B \\\n$B\n$B= \\\n$C \\\n$C\n$C= \\\n$A \\\n$A\n$A\n",
        "$A=$A$A$A$A\n$A\n",
        &"{".repeat(100_000),
        &"a {\n".repeat(100_000),
        &"x".repeat(1 << 20),
        &"\0".repeat(1 << 20),
        &"\"".repeat(1 << 20),
    ] {
        let parsed = read(&[("main", text)]);
        assert!(!parsed.diagnostics.is_empty());
    }
}

/// Addresses of the first instance of a configuration whose instance has these lines after `before`.
fn addresses(before: &str, block: &str) -> (Vec<String>, Vec<Code>) {
    let head = "vrrp_instance A {\ninterface eth0\nvirtual_router_id 5\n";
    let text = format!("{before}\n{head}virtual_ipaddress {{{block}\n}}\n}}\n");
    let parsed = read(&[("main", &text)]);
    let instance = parsed.config.instances.first();
    let addresses = instance.map(|i| i.settings.addresses.iter().map(|a| a.address.to_string()).collect());
    (addresses.unwrap_or_default(), codes(&parsed))
}

/// As seen with 2.2.7.
#[test]
fn a_line_begins_anew_behind_a_brace() {
    let two = vec!["10.0.0.1".to_owned(), "10.0.0.2".to_owned()];
    assert_eq!(addresses("", " ~LST(X, 1, 2) 10.0.0.${X}/24"), (two.clone(), vec![]));
    assert_eq!(addresses("", " @low 10.0.0.1\n @^low 10.0.0.3\n @low 10.0.0.2"), (two.clone(), vec![]));
    let one = |text: &str| priorities(&read(&[("main", &format!("vrrp_instance A {{ {text}\n}}\n"))]));
    assert_eq!(one("@low priority 7"), [7]);
    assert_eq!(one("@other priority 7"), []);
    assert_eq!(one("unicast_peer { 10.0.0.9 } @low priority 8"), [8]);
    let many = format!("{} priority 6", "unicast_peer { } @low ".repeat(40));
    assert_eq!(one(&many), [6]);
    assert_eq!(one("authentication { auth_pass \"a{ @b\" } priority 9"), [9], "not in quotes");
}

#[test]
fn generators_make_definitions() {
    let before = "~SEQ(N, 1, 2) $SERVER${N}=10.0.0.${N}/24";
    let (found, said) = addresses(before, "\n$SERVER1\n$SERVER2");
    assert_eq!((found, said), (vec!["10.0.0.1".into(), "10.0.0.2".into()], vec![]));
}

/// A backslash too many: what can be no part of a definition any more ends it, after an empty line.
#[test]
fn a_definition_ends_before_a_block() {
    let two = vec!["10.0.0.1".to_owned(), "10.0.0.2".to_owned()];
    for empty in ["", "   ", "# said"] {
        let before = format!("$VIPS= \\\n 10.0.0.1/24 \\\n 10.0.0.2/24 \\\n{empty}\n");
        assert_eq!(addresses(&before, "\n$VIPS"), (two.clone(), vec![Code::NoEffect]), "{empty:?}");
        let before = format!("{before}$OTHER=x\n");
        assert_eq!(addresses(&before, "\n$VIPS"), (two.clone(), vec![Code::NoEffect]), "{empty:?}");
    }
    let goes_on = "$VIPS= \\\n 10.0.0.1/24 \\\n\n 10.0.0.2/24\n";
    assert_eq!(addresses(goes_on, "\n$VIPS"), (two, vec![]));
}

#[test]
fn only_plain_blanks_part_words() {
    let said = read(&[("main", "vrrp_instance A {\ninterface eth0\npriority\u{a0}200\n}\n")]);
    let unknown = said.diagnostics.iter().find(|d| d.code == Code::UnknownKeyword).expect("it is said");
    assert!(unknown.instead.contains("U+00A0"), "{unknown:?}");
    assert_eq!(priorities(&said), []);
}
