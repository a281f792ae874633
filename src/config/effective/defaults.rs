//! Defaults from the keyword table, for blocks and keywords whose values no plan holds.

use super::{DEFAULT, NOT_RUN};
use keepalived_compat::keywords::{self, Opens, Place};
use keepalived_compat::print::Line;

/// Writes the defaults of the outermost level and of all known blocks that are run into `lines`. What is written says
/// more than the table; a line that only repeats the default is marked.
pub(super) fn write(lines: &mut Vec<Line>) {
    let written = |keyword: &str| lines.iter().any(|line| line.keyword() == keyword);
    // keepalived's own order: what holds for all comes first, because instances copy it when their block begins.
    if !written("global_defs") {
        lines.insert(0, Line { block: Some(Vec::new()), ..Line::new(["global_defs"]) });
    }
    share(lines);
    for line in lines.iter_mut() {
        inner(Place::Root, line, &[]);
    }
    level(Place::Root, lines, &[]);
}

/// `global_defs` may stand several times, and the last value counts: the defaults go into the first block, without the
/// keywords of the others.
fn share(lines: &mut [Line]) {
    let place = Place::GlobalDefs;
    let mut blocks: Vec<&mut Vec<Line>> = lines
        .iter_mut()
        .filter(|line| line.keyword() == "global_defs")
        .filter_map(|line| line.block.as_mut())
        .collect();
    let Some((first, others)) = blocks.split_first_mut() else { return };
    let elsewhere: Vec<String> =
        others.iter().flat_map(|block| block.iter()).map(|line| line.keyword().to_owned()).collect();
    let elsewhere: Vec<&str> = elsewhere.iter().map(String::as_str).collect();
    level(place, first, &elsewhere);
}

/// Fills the block of `line`; `around` are keywords of the blocks around it, which take the place of a default.
fn inner(place: Place, line: &mut Line, around: &[&str]) {
    let Some(Opens::Block(place)) = keywords::find(place, line.keyword()).map(|k| k.opens) else { return };
    if line.note == Some(NOT_RUN) {
        return;
    }
    let Some(block) = line.block.as_mut() else { return };
    let names: Vec<String> = block.iter().map(|line| line.keyword().to_owned()).collect();
    let below: Vec<&str> = around.iter().copied().chain(names.iter().map(String::as_str)).collect();
    block.iter_mut().for_each(|line| inner(place, line, &below));
    if place != Place::GlobalDefs {
        level(place, block, around);
    }
}

/// One block: marks what repeats a default, writes what is missing before the first inner block.
fn level(place: Place, block: &mut Vec<Line>, around: &[&str]) {
    let mut missing = Vec::new();
    for (keyword, default) in keywords::defaults(place) {
        let Some(last) = block.iter().rposition(|line| line.keyword() == *keyword) else {
            if !around.contains(keyword) && !replaced(keyword, block) {
                missing.push(Line { note: Some(DEFAULT), ..Line::new([*keyword, *default]) });
            }
            continue;
        };
        if block[last].note.is_none() && block[last].arguments().eq([*default]) {
            block[last].note = Some(DEFAULT);
        }
    }
    let at = block.iter().position(|inner| inner.block.is_some()).unwrap_or(block.len());
    block.splice(at..at, missing);
}

/// Does another name of the keyword stand there?
fn replaced(keyword: &str, block: &[Line]) -> bool {
    let aliases: &[&str] = match keyword {
        "retry" => &["nb_get_retry"],
        "enable_sni" => &["sni_name"],
        _ => &[],
    };
    block.iter().any(|line| aliases.contains(&line.keyword()))
}
