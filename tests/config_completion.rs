//! Completion with the real program: of keywords at a cursor, and of the words of `holdfastctl` in a shell.

use std::io::Write;
use std::process::{Command, Output, Stdio};

const TOOL: &str = env!("CARGO_BIN_EXE_holdfastctl");

fn tool(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(TOOL);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the tool starts");
    let written = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("the tool ends");
    // A tool that asks nothing of its input may end before it is written.
    assert!(written.is_ok() || input.is_empty() || !output.status.success());
    output
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn an_editor_is_told_what_may_be_written_at_its_cursor() {
    let input = "vrrp_instance A {\n  virtual_router\n}\n";
    let shown = text(&tool(&["keywords", "--at", "-:2:17"], input));
    assert_eq!(shown, "virtual_router_id\t1..255\tvrrp_instance\tworks\n");
    let json = text(&tool(&["keywords", "--at", "-:2:17", "--json"], input));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json[0]["word"], "virtual_router_id");
    assert_eq!((&json[0]["place"], &json[0]["status"]), (&"vrrp_instance".into(), &"works".into()));
    for wrong in ["-", "-:1", "-:x:1", ":::", "/nowhere/at/all:1:1"] {
        let output = tool(&["keywords", "--at", wrong], "");
        assert_eq!(output.status.code(), Some(1), "{wrong}");
        assert!(!output.stderr.is_empty() && output.stdout.is_empty(), "{wrong}");
    }
}

#[test]
fn the_table_is_listed_whole_and_by_block() {
    let all = text(&tool(&["keywords"], ""));
    assert!(all.lines().count() > 800, "{}", all.lines().count());
    let blocks: Vec<String> =
        text(&tool(&["keywords", "weight", "--place", "virtual_server/real_server"], ""))
            .lines()
            .map(str::to_owned)
            .collect();
    assert!(blocks.len() == 1 && blocks[0].starts_with("weight\t"), "{blocks:?}");
    let unknown = tool(&["keywords", "--place", "nowhere"], "");
    assert_eq!(unknown.status.code(), Some(1));
}

/// The script is run in bash as bash does when Tab is typed.
#[test]
fn bash_completes_verbs_blocks_and_codes() {
    let script = text(&tool(&["completion", "bash"], ""));
    if Command::new("bash").arg("-c").arg(":").status().is_err() {
        println!("there is no bash here: the script is not run");
        return;
    }
    let typed = |words: &[&str]| {
        let list = words.iter().map(|w| format!("'{w}'")).collect::<Vec<_>>().join(" ");
        let last = words.len() - 1;
        let run = format!(
            "{script}\nCOMP_WORDS=(holdfastctl {list}); COMP_CWORD={}; _holdfastctl holdfastctl '{}' '{}'\n\
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            last + 1,
            words[last],
            if last == 0 { "holdfastctl" } else { words[last - 1] },
        );
        let output = Command::new("bash").arg("-c").arg(run).output().expect("bash runs");
        text(&output).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut verbs = typed(&["che"]);
    verbs.sort();
    assert_eq!(verbs, ["check", "check-now", "checks"]);
    assert_eq!(
        typed(&["keywords", "--place", "virtual_server/real_server/TCP"]),
        ["virtual_server/real_server/TCP_CHECK"]
    );
    assert_eq!(typed(&["check", "--explain", "HF0013"]), ["HF0013"]);
    for shell in ["zsh", "fish"] {
        let script = text(&tool(&["completion", shell], ""));
        assert!(
            script.contains("virtual_server/real_server/TCP_CHECK") && script.contains("HF0013"),
            "{shell}"
        );
    }
}
