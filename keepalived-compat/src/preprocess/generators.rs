//! `~SEQ(NAME, [START, [STEP,]] END) text`, `~SEQx(...)` and `~LST(...)`: a line for each value.

/// Values of one generator; keepalived's users count addresses of a network or two.
const MAX_VALUES: usize = 65_536;

/// The head of a line that repeats its rest.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Generator {
    /// The names that are defined, line by line.
    pub(super) names: Vec<String>,
    /// Their values; one row for each line.
    pub(super) rows: Vec<Vec<String>>,
}

/// Length of the generator at the start of `line` (blanks included), up to and with its `)`; `None` when there is
/// none. Zero: it begins like one and has no end.
pub(super) fn head(line: &str) -> Option<usize> {
    let trimmed = line.trim_start();
    let after = ["~SEQx", "~SEQ", "~LST"].iter().find_map(|name| trimmed.strip_prefix(name))?;
    if !after.trim_start().starts_with('(') {
        return None;
    }
    Some(line.find(')').map_or(0, |end| end + 1))
}

/// Reads a head as [`head`] found it, definitions in it already substituted; `None` when it is not valid.
pub(super) fn read(head: &str) -> Option<Generator> {
    let (name, rest) = head.trim_start().split_once('(')?;
    let arguments = rest.strip_suffix(')')?;
    match name.trim_end() {
        "~SEQ" => sequence(arguments, |n| Some(n.to_string())),
        "~SEQx" => sequence(arguments, |n| u64::try_from(n).ok().map(|n| format!("{n:x}"))),
        _ => list(arguments),
    }
}

fn sequence(arguments: &str, show: impl Fn(i64) -> Option<String>) -> Option<Generator> {
    let words: Vec<&str> = arguments.split(',').map(str::trim).collect();
    let (name, numbers) = words.split_first()?;
    let numbers: Vec<i64> = numbers.iter().map(|n| number(n)).collect::<Option<_>>()?;
    let towards = |start: i64, end: i64| if end < start { -1 } else { 1 };
    let (start, step, end) = match numbers.as_slice() {
        [end] => (if *end < 0 { -1 } else { 1 }, if *end < 0 { -1 } else { 1 }, *end),
        [start, end] => (*start, towards(*start, *end), *end),
        [start, step, end] => (*start, *step, *end),
        _ => return None,
    };
    let wrong_way = step == 0 || (end - start).signum() * step.signum() < 0;
    if wrong_way || !super::definitions::is_name(name) {
        return None;
    }
    let count = usize::try_from((end - start) / step).ok()? + 1;
    let values = (0..).map(|i| start + i * step).take(count.min(MAX_VALUES));
    let rows = values.map(|n| show(n).map(|text| vec![text])).collect::<Option<_>>()?;
    Some(Generator { names: vec![(*name).to_owned()], rows })
}

/// A number in decimal or, after 0x, in hexadecimal; small enough that sums of three never overflow.
fn number(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let value = match digits.strip_prefix("0x") {
        Some(hex) => i32::from_str_radix(hex, 16).ok()?,
        None => digits.parse::<i32>().ok()?,
    };
    (value >= 0).then(|| if negative { -i64::from(value) } else { i64::from(value) })
}

/// `NAME, v1, v2` or `{N1, N2}, {a, b}, {c}`; missing members are empty.
fn list(arguments: &str) -> Option<Generator> {
    let items = items(arguments)?;
    let (first, values) = items.split_first()?;
    let tuple = |item: &str| -> Vec<String> {
        match item.strip_prefix('{').and_then(|i| i.strip_suffix('}')) {
            Some(members) => members.split(',').map(|m| m.trim().to_owned()).collect(),
            None => vec![item.to_owned()],
        }
    };
    let names = tuple(first);
    let mut rows: Vec<Vec<String>> = values.iter().take(MAX_VALUES).map(|v| tuple(v)).collect();
    let blank = |words: &[String]| words.iter().any(|w| w.contains(char::is_whitespace));
    if rows.iter().any(|row| row.len() > names.len() || blank(row))
        || !names.iter().all(|n| super::definitions::is_name(n))
    {
        return None;
    }
    rows.iter_mut().for_each(|row| row.resize(names.len(), String::new()));
    Some(Generator { names, rows })
}

/// Splits at the commas that stand outside braces.
fn items(text: &str) -> Option<Vec<String>> {
    let mut items = vec![String::new()];
    let mut inside = false;
    for c in text.chars() {
        match (c, inside) {
            ('{', false) => inside = true,
            ('}', true) => inside = false,
            ('{' | '}', _) => return None,
            (',', false) => {
                items.push(String::new());
                continue;
            }
            _ => {}
        }
        items.last_mut()?.push(c);
    }
    (!inside).then(|| items.iter().map(|i| i.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Option<String> {
        let generator = read(text)?;
        Some(generator.rows.iter().map(|row| row.join("+")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn sequences_count_as_in_keepalived() {
        assert_eq!(values("~SEQ(N, 3)").as_deref(), Some("1 2 3"));
        assert_eq!(values("~SEQ(N, -2)").as_deref(), Some("-1 -2"));
        assert_eq!(values("~SEQ(N, 3, 1)").as_deref(), Some("3 2 1"));
        assert_eq!(values("~SEQ(N, 0, 3, 10)").as_deref(), Some("0 3 6 9"));
        assert_eq!(values(" ~SEQ ( N ,0x8,0xa)").as_deref(), Some("8 9 10"));
        assert_eq!(values("~SEQx(N, 8, 11)").as_deref(), Some("8 9 a b"));
        for bad in
            ["~SEQ(N)", "~SEQ(N, 1 2)", "~SEQ(N, 0, 0, 9)", "~SEQ(N, 0, -1, 9)", "~SEQ(, 1)", "~SEQx(N, -1)"]
        {
            assert_eq!(values(bad), None, "{bad}");
        }
    }

    #[test]
    fn lists_give_values_or_tuples() {
        assert_eq!(values("~LST(V, a, b)").as_deref(), Some("a b"));
        assert_eq!(values("~LST({V,W}, {a, b}, {c})").as_deref(), Some("a+b c+"));
        for bad in ["~LST(V, a b)", "~LST({V, W)", "~LST(V, {a, b})", "~LST({V}}, a)"] {
            assert_eq!(values(bad), None, "{bad}");
        }
    }

    #[test]
    fn no_sequence_is_endless() {
        let all = read("~SEQ(N, -2147483647, 2147483647)").expect("valid").rows;
        assert_eq!(all.len(), MAX_VALUES);
    }

    #[test]
    fn a_head_ends_with_its_bracket() {
        assert_eq!(head(" ~SEQ(A, 1) x"), Some(11));
        assert_eq!((head("~SEQ(A"), head("~SEQA"), head("x ~SEQ(A)")), (Some(0), None, None));
    }
}
