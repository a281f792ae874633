use super::*;

fn parse(words: &[&str]) -> Invocation {
    Options::parse_words(words.iter().map(OsString::from))
}

fn options(words: &[&str]) -> Options {
    match parse(words) {
        Invocation::Run(options) => *options,
        Invocation::Say(text, _) => panic!("{words:?}: {text}"),
        Invocation::Version => panic!("{words:?}: only the version"),
    }
}

fn refusal(words: &[&str]) -> String {
    match parse(words) {
        Invocation::Say(text, 1) => text,
        other => panic!("{words:?}: {other:?}"),
    }
}

#[test]
fn the_command_is_well_formed() {
    Options::command().debug_assert();
}

#[test]
fn every_option_of_the_manual_is_taken() {
    let o = options(&[
        "-f",
        "f.conf",
        "-P",
        "-C",
        "-B",
        "--all",
        "-l",
        "-DD",
        "-S",
        "local3",
        "-g=log",
        "--flush-log-file",
        "-G",
        "-X",
        "-V",
        "-I",
        "-R",
        "-n",
        "-d",
        "-p",
        "p",
        "-r",
        "r",
        "-c",
        "c",
        "-b",
        "b",
        "-a",
        "-s",
        "ns",
        "-e",
        "-i",
        "id",
        "-x",
        "-A",
        "sock",
        "-u",
        "022",
        "-m",
        "-Mpattern",
        "--ignore-sigint",
        "--perf=all",
        "--debug=x",
        "--no-mem-check",
        "--config-fd=5",
    ]);
    assert_eq!(o.file, Path::new("f.conf"));
    assert_eq!((o.log_detail, o.log_facility), (2, Facility::Local(3)));
    assert_eq!(o.log_file.as_deref(), Some(Path::new("log")));
    assert_eq!(o.umask, Some(0o22));
    assert_eq!(o.core_dump_pattern.as_deref(), Some("pattern"));
    assert!(o.want_vrrp() && o.want_checker(), "-P and -C together ask for both");
    assert!(o.snmp && o.snmp_socket().as_deref() == Some("sock"));
    assert_eq!(not_built(&o).len(), 11);
}

#[test]
fn long_names_are_keepaliveds_and_may_be_cut_short() {
    let o = options(&[
        "--use-file=f",
        "--vrrp",
        "--log-c",
        "--log-detail",
        "--log-facility",
        "user",
        "--dont-fork",
        "--pid=p",
        "--vrrp_pid=r",
        "--checkers_pid=c",
        "--config-id=me",
        "--umask=0x12",
        "--dont-release-vrrp",
    ]);
    assert!(o.log_console && o.dont_fork && o.vrrp_only && o.dont_release_vrrp && !o.want_checker());
    assert_eq!(o.umask, Some(0x12));
    assert_eq!(o.config_id.as_deref(), Some("me"));
}

#[test]
fn an_optional_value_is_attached_or_absent() {
    for (words, file) in [
        (&["-t"][..], ""),
        (&["-t/tmp/a"], "/tmp/a"),
        (&["-t=/tmp/a"], "/tmp/a"),
        (&["-nt/tmp/a"], "/tmp/a"),
        (&["--config-test"], ""),
        (&["--config-test=/tmp/a"], "/tmp/a"),
        (&["--config-t=/tmp/a"], "/tmp/a"),
    ] {
        assert_eq!(options(words).config_test.as_deref(), Some(std::ffi::OsStr::new(file)), "{words:?}");
    }
    let o = options(&["-t", "word", "-M", "-f", "conf"]);
    assert_eq!(o.config_test.as_deref(), Some(std::ffi::OsStr::new("")));
    assert_eq!(o.core_dump_pattern.as_deref(), Some("core"));
    assert_eq!(o.extra, ["word"]);
    assert_eq!(o.file, Path::new("conf"));
}

#[test]
fn a_value_that_looks_like_an_option_is_a_value() {
    let o = options(&["-f", "-t/x", "--pid", "-Mx", "-nf", "-tx"]);
    assert_eq!(o.file, Path::new("-tx"));
    assert_eq!(o.pid.as_deref(), Some(Path::new("-Mx")));
    assert!(o.config_test.is_none() && o.core_dump_pattern.is_none() && o.dont_fork);
}

#[test]
fn options_may_repeat_and_extra_words_are_kept_apart() {
    let o = options(&["a", "-n", "-n", "-f", "1", "b", "-f", "2", "--", "-x"]);
    assert_eq!(o.file, Path::new("2"));
    assert_eq!(o.extra, ["a", "b", "-x"]);
    assert!(!o.snmp);
}

#[test]
fn what_keepalived_refuses_is_refused_with_its_name() {
    for (words, part) in [
        (&["--bogus"][..], "unknown option --bogus"),
        (&["-Z"], "unknown option -Z"),
        (&["-f"], "missing value for option --use-file <FILE>"),
        (&["--pid"], "missing value for option --pid <FILE>"),
        (&["-S", "mail"], "'mail' is no log facility"),
        (&["-u", "9999"], "'9999' is no mask"),
        (&["--role", "king"], "there is no role 'king'"),
        (&["--all=1"], "takes no value"),
    ] {
        let text = refusal(words);
        assert!(text.contains(part), "{words:?}: {text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}

#[test]
fn help_is_for_standard_error_with_status_0() {
    match parse(&["-h"]) {
        Invocation::Say(text, 0) => {
            assert!(text.contains("--dont-release-ipvs"), "{text}");
            assert!(!text.contains("--role"), "roles are our own business");
        }
        other => panic!("{other:?}"),
    }
}

/// As keepalived-exporter reads it: the first of several lines, its second word, without its first letter.
#[test]
fn called_keepalived_the_version_is_one_that_exporters_understand() {
    assert!(matches!(parse(&["--version"]), Invocation::Version));
    let text = version(Path::new("/usr/sbin/keepalived"));
    let (first, _) = text.split_once('\n').expect("more than a line");
    assert!(first.starts_with("Keepalived v2.4.3 "), "{first}");
    assert!(
        version(Path::new("/usr/sbin/holdfast"))
            .starts_with(&format!("holdfast v{}\n", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn genhash_is_a_name_or_the_first_word() {
    assert!(wants_genhash(Path::new("/usr/bin/genhash"), None));
    assert!(wants_genhash(Path::new("holdfast"), Some(&OsString::from("-T"))));
    assert!(!wants_genhash(Path::new("holdfast"), Some(&OsString::from("-n"))));
}

#[test]
fn signals_have_the_numbers_of_linux() {
    let numbers = ["STOP", "RELOAD", "DATA", "STATS", "STATS_CLEAR", "JSON"].map(signal_number);
    assert_eq!(numbers, [15, 1, 10, 12, 63, 36].map(Some));
    assert_eq!(signal_number("TDUMP"), None);
}
