//! Lints of `virtual_server`.

use super::{number, word};
use crate::Code;
use crate::diagnostics::{Diagnostic, keep};
use crate::source::Span;
use crate::tree::Statement;

/// Schedulers of the kernel that look only whether a weight is 0.
const WEIGHTLESS: [&str; 2] = ["rr", "dh"];

pub(super) fn lint(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) {
    let body = statement.body();
    let default = number(body, "weight").map_or(1, |w| w.value);
    let weights: Vec<(i64, Option<Span>)> = body
        .iter()
        .filter(|s| s.keyword().text == "real_server")
        .map(|s| number(s.body(), "weight").map_or((default, None), |w| (w.value, Some(w.span))))
        .collect();
    let name: Vec<&str> = statement.arguments().iter().map(|w| w.text.as_str()).collect();
    let name = name.join(" ");
    quorum(&name, body, &weights, diagnostics);
    ignored(&name, body, &weights, diagnostics);
}

/// A quorum that was lost comes back at quorum plus hysteresis.
fn quorum(
    name: &str,
    body: &[Statement],
    weights: &[(i64, Option<Span>)],
    diagnostics: &mut Vec<Diagnostic>,
) {
    let (Some(quorum), Some(hysteresis)) = (number(body, "quorum"), number(body, "hysteresis")) else {
        return;
    };
    let total: i64 = weights.iter().fold(0, |sum, (weight, _)| sum.saturating_add(*weight));
    // Beyond these bounds the values are changed, and another code says so.
    let kept = quorum.value <= total && (1..quorum.value).contains(&hysteresis.value);
    let wanted = quorum.value.saturating_add(hysteresis.value);
    if !kept || wanted <= total {
        return;
    }
    let title =
        format!("virtual_server {name}: quorum and hysteresis want {wanted}, all servers weigh {total}");
    let now = "once the quorum is lost it never comes back, even with all servers alive";
    let diagnostic = Diagnostic::new(Code::QuorumUnreachable, hysteresis.span, title, now)
        .related(quorum.span, "the quorum")
        .instead(format!("hysteresis {} or less, or a lower quorum", total - quorum.value));
    keep(diagnostics, diagnostic);
}

fn ignored(
    name: &str,
    body: &[Statement],
    weights: &[(i64, Option<Span>)],
    diagnostics: &mut Vec<Diagnostic>,
) {
    let scheduler = body.iter().rev().find(|s| matches!(s.keyword().text.as_str(), "lb_algo" | "lvs_sched"));
    let scheduler = scheduler.and_then(|s| s.arguments().first()).map(|w| w.text.as_str());
    let Some(scheduler) = scheduler.filter(|s| WEIGHTLESS.contains(s)) else { return };
    // Weights count for a quorum whatever the scheduler; a server of weight 0 is given no connections.
    let counted = ["quorum", "hysteresis"].iter().any(|k| word(body, k).is_some());
    let mut alive = weights.iter().filter(|(weight, _)| *weight > 0);
    let Some((first, _)) = alive.next() else { return };
    let Some((weight, Some(span))) = alive.find(|(weight, span)| weight != first && span.is_some()) else {
        return;
    };
    if counted {
        return;
    }
    let title = format!("virtual_server {name}: the scheduler {scheduler} does not look at weights");
    let now = format!("a server of weight {weight} gets as many connections as one of weight {first}");
    let diagnostic = Diagnostic::new(Code::WeightIgnored, *span, title, now);
    keep(diagnostics, diagnostic.instead("lb_algo wrr, or the same weight for all"));
}
