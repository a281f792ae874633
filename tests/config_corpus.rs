//! Whole configuration files through `compile`: the ones beside this test, and with HOLDFAST_SHARED set the public
//! corpus that was tried with keepalived 2.4.3.

use holdfast::link::Compiled;
use holdfast::plan::Generation;
use holdfast::role::compile::{CompileRequest, compile, config_test};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn request(file: &Path) -> CompileRequest {
    CompileRequest {
        file: file.to_owned(),
        config_id: Some("no-such-id".to_owned()),
        generation: Generation(1),
        want_vrrp: true,
        want_checker: true,
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
    /// Exit status of `keepalived -t` with all interfaces present.
    test_status: String,
    /// What the daemon did with its virtual routers.
    run: String,
}

fn index(corpus: &Path) -> Vec<Row> {
    let text = std::fs::read_to_string(corpus.join("INDEX.tsv")).expect("the corpus has an index");
    let row = |line: &str| {
        let columns: Vec<&str> = line.split('\t').collect();
        let column = |n: usize| columns.get(n).copied().unwrap_or_default().to_owned();
        Row { file: column(0), test_status: column(6), run: column(9) }
    };
    text.lines().skip(1).map(row).filter(|row| !row.file.is_empty()).collect()
}

/// Routers that keepalived started: `BACKUP:1,MASTER:2` is 3; `None` when it started none or it is not known.
fn started(run: &str) -> Option<usize> {
    let counts = run.split(',').map(|part| part.split_once(':').and_then(|(_, n)| n.parse::<usize>().ok()));
    counts.sum::<Option<usize>>().filter(|n| *n > 0)
}

/// Files that keepalived runs with more routers than holdfast yet, and why.
const FEWER: &[(&str, &str)] =
    &[("042.conf", "one instance has auth_type AH"), ("072.conf", "the instance has auth_type AH")];

#[test]
fn what_keepalived_runs_holdfast_runs() {
    let Some(shared) = std::env::var_os("HOLDFAST_SHARED") else {
        assert_eq!(compiled("pair.conf").plans.map(|p| p.vrrp.routers.len()), Some(2));
        return;
    };
    let corpus = Path::new(&shared).join("corpus");
    let (mut fewer, mut statuses, mut runs) = (Vec::new(), BTreeMap::new(), 0);
    let rows = index(&corpus);
    for row in &rows {
        let compiled = compile(&request(&corpus.join(&row.file)));
        let mut printed = Vec::new();
        let status = config_test(&request(&corpus.join(&row.file)), &mut printed);
        *statuses.entry((row.test_status.clone(), status)).or_insert(0) += 1;
        let routers = compiled.plans.as_ref().map_or(0, |p| p.vrrp.routers.len());
        let Some(wanted) = started(&row.run) else { continue };
        runs += usize::from(routers >= wanted);
        if routers < wanted && !FEWER.iter().any(|(file, _)| *file == row.file) {
            let said: Vec<&str> = compiled
                .diagnostics
                .iter()
                .filter_map(|d| d.lines().next())
                .filter(|l| l.starts_with("err"))
                .collect();
            fewer.push(format!("{}: {wanted} wanted, {routers} planned; {said:?}", row.file));
        }
    }
    println!("{} files; {runs} of those that keepalived runs give all their routers", rows.len());
    for ((theirs, ours), count) in statuses {
        println!("  -t: keepalived {theirs}, holdfast {ours}: {count} files");
    }
    assert!(rows.len() > 80, "the index holds the corpus");
    assert!(fewer.is_empty(), "{}", fewer.join("\n"));
}
