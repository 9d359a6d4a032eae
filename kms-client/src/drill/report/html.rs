//! A report as one page that needs nothing else: the timeline is drawn in it.

use core::fmt::Write as _;
use core::time::Duration;

use super::{Condition, Kind, Report, escaped};

/// The drawing's width without what stands to the left of it, in units of its own.
const WIDTH: f64 = 1000.0;
/// What stands to the left.
const LEFT: f64 = 110.0;
/// The height of a row.
const ROW: f64 = 26.0;
/// Into how many bars the load is drawn.
const BARS: usize = 200;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c2024; --soft: #667079; --line: #d8dde1; --page: #fcfcfd; --good: #2a7d4f;
  --bad: #c4321f; --up: #7dbb97; --standby: #9db7d5; --trouble: #e0a458; --down: #d6705f; --load: #5b7fa6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ea; --soft: #98a2ab; --line: #363d44; --page: #15181b;
  --good: #6cc493; --bad: #f0806f; --up: #3f7d5a; --standby: #48658a; --trouble: #a87428; --down: #a04536; --load: #7fa3cb; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 72rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin-top: 2rem; } p { color: var(--soft); }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .3rem .8rem .3rem 0; vertical-align: top;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; } th { color: var(--soft); font-weight: 500; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
svg { width: 100%; height: auto; } svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg .soft { fill: var(--soft); } svg line { stroke: var(--line); } svg .break { stroke: var(--bad); stroke-dasharray: 3 3; }
.up { fill: var(--up); } .standby { fill: var(--standby); } .frozen, .cut, .expired, .full { fill: var(--trouble); }
.down { fill: var(--down); } .load { fill: var(--load); } .failed { fill: var(--bad); }
.key span { display: inline-block; margin-right: 1rem; } .key svg { width: 12px; height: 12px; vertical-align: -1px; }
";

impl Report {
    /// The report as one HTML page, without anything from elsewhere.
    #[must_use]
    pub fn to_html(&self) -> String {
        let verdict = if self.passed { ("good", "passed") } else { ("bad", "failed") };
        let mut out = format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
             <meta name=\"viewport\" content=\"width=device-width\"/><title>{name}: {said}</title><style>{STYLE}</style></head>\n\
             <body><h1>{name} <span class=\"{class}\">{said}</span></h1>\n<p>{description}</p>\n\
             <p>Begun {started}; the timeline took {timeline:.1} s, all together {took:.1} s.</p>\n",
            name = escaped(&self.drill),
            class = verdict.0,
            said = verdict.1,
            description = escaped(&self.description),
            started = escaped(&self.started),
            timeline = self.timeline.as_secs_f64(),
            took = self.took.as_secs_f64(),
        );
        self.expectations(&mut out);
        out.push_str("<h2>Timeline</h2>\n");
        self.drawing(&mut out);
        self.tables(&mut out);
        out.push_str("</body></html>\n");
        out
    }

    // Writing to a String cannot fail.

    fn expectations(&self, out: &mut String) {
        out.push_str("<h2>Expectations</h2>\n<table>");
        for assertion in &self.assertions {
            let (class, verdict) = if assertion.passed { ("good", "pass") } else { ("bad", "fail") };
            let detail = escaped(&assertion.detail);
            let _ = writeln!(
                out,
                "<tr><td class=\"{class}\">{verdict}</td><td>{}</td><td>{detail}</td></tr>",
                assertion.name
            );
        }
        out.push_str("</table>\n");
    }

    fn x(&self, at: Duration) -> f64 {
        let whole = self.timeline.as_secs_f64().max(0.001);
        LEFT + (at.as_secs_f64() / whole).clamp(0.0, 1.0) * WIDTH
    }

    fn drawing(&self, out: &mut String) {
        let kinds: Vec<Kind> = self.load.iter().map(|summary| summary.kind).collect();
        let rows = self.servers.len() + kinds.len();
        let bottom = ROW * (rows as f64 + 1.0) + 10.0;
        let (width, height) = (LEFT + WIDTH + 10.0, bottom + 30.0);
        let _ = writeln!(
            out,
            "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"What happened when\">"
        );
        self.scale(out, bottom);
        let mut y = ROW;
        for lane in &self.servers {
            let _ = writeln!(out, "<text x=\"0\" y=\"{}\">{}</text>", y + 16.0, escaped(&lane.server));
            for stretch in &lane.stretches {
                let (from, to, class) = (self.x(stretch.from), self.x(stretch.to), class(stretch.condition));
                let title = format!(
                    "{class} from {:.2} s to {:.2} s",
                    stretch.from.as_secs_f64(),
                    stretch.to.as_secs_f64()
                );
                let _ = writeln!(
                    out,
                    "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{y}\" width=\"{:.1}\" height=\"20\"><title>{title}</title></rect>",
                    (to - from).max(1.0)
                );
            }
            y += ROW;
        }
        for kind in kinds {
            self.bars(out, kind, y);
            y += ROW;
        }
        self.marks(out, bottom);
        out.push_str("</svg>\n<p class=\"key\">");
        let key = [
            ("up", "up"),
            ("standby", "standby"),
            ("frozen", "frozen, cut off, expired or full"),
            ("down", "down"),
        ];
        for (class, words) in key.into_iter().chain([("load", "operations ended"), ("failed", "failed")]) {
            let _ = write!(
                out,
                "<span><svg viewBox=\"0 0 12 12\"><rect class=\"{class}\" width=\"12\" height=\"12\"/></svg> {words}</span>"
            );
        }
        out.push_str("</p>\n");
    }

    /// A line for each second, or for several where there are many.
    fn scale(&self, out: &mut String, bottom: f64) {
        let seconds = self.timeline.as_secs();
        let step = (seconds / 20 + 1).max(1);
        for second in (0..=seconds).step_by(usize::try_from(step).unwrap_or(1)) {
            let x = self.x(Duration::from_secs(second));
            let _ = writeln!(
                out,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{ROW}\" y2=\"{bottom}\"/>\
                 <text class=\"soft\" x=\"{x:.1}\" y=\"{}\">{second} s</text>",
                bottom + 16.0
            );
        }
    }

    /// How many operations ended in each stretch of time; what failed stands on top.
    fn bars(&self, out: &mut String, kind: Kind, y: f64) {
        let _ = writeln!(out, "<text x=\"0\" y=\"{}\">{kind}s</text>", y + 16.0);
        let mut counts = vec![(0_u32, 0_u32); BARS];
        let whole = self.timeline.as_secs_f64().max(0.001);
        for sample in self.samples.iter().filter(|sample| sample.kind == kind) {
            let place = (sample.begun + sample.took).as_secs_f64() / whole * BARS as f64;
            // What ended after the timeline's last step belongs to its end.
            let place = (place as usize).min(BARS - 1);
            if let Some((done, failed)) = counts.get_mut(place) {
                *(if sample.failure.is_some() { failed } else { done }) += 1;
            }
        }
        let most = counts.iter().map(|(done, failed)| done + failed).max().unwrap_or(1).max(1);
        for (place, (done, failed)) in counts.into_iter().enumerate() {
            let x = LEFT + place as f64 * WIDTH / BARS as f64;
            let of = |count: u32| f64::from(count) / f64::from(most) * 20.0;
            let mut top = y + 20.0;
            for (class, count) in [("load", done), ("failed", failed)] {
                if count > 0 {
                    // One failure among many has to be seen.
                    let height = if class == "failed" { of(count).max(4.0) } else { of(count) };
                    top -= of(count);
                    let _ = writeln!(
                        out,
                        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{height:.1}\"/>",
                        WIDTH / BARS as f64 - 1.0
                    );
                }
            }
        }
    }

    /// A number above the drawing for each step, and a line through it where it broke something.
    fn marks(&self, out: &mut String, bottom: f64) {
        for (number, step) in self.steps.iter().enumerate() {
            let x = self.x(step.at);
            if step.breaks {
                let _ = writeln!(
                    out,
                    "<line class=\"break\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"18\" y2=\"{bottom}\"/>"
                );
            }
            let title = escaped(&step.what);
            let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"14\">{}<title>{title}</title></text>", number + 1);
        }
    }

    fn tables(&self, out: &mut String) {
        out.push_str("<h2>Steps</h2>\n<table><tr><th></th><th class=\"number\">at</th><th class=\"number\">took</th><th>what</th></tr>\n");
        for (number, step) in self.steps.iter().enumerate() {
            let said = step.said.as_ref().map(|said| format!(": {}", escaped(said))).unwrap_or_default();
            let _ = writeln!(
                out,
                "<tr><td>{}</td><td class=\"number\">{:.2} s</td><td class=\"number\">{:.2} s</td><td>{}{said}</td></tr>",
                number + 1,
                step.at.as_secs_f64(),
                step.took.as_secs_f64(),
                escaped(&step.what)
            );
        }
        out.push_str("</table>\n<h2>Load</h2>\n<table><tr><th>operations</th><th class=\"number\">done</th>");
        out.push_str("<th class=\"number\">failed</th><th class=\"number\">half took at most</th>");
        out.push_str("<th class=\"number\">longest</th><th>failures</th></tr>\n");
        for one in &self.load {
            let failures: Vec<String> = one.failures.iter().map(|failure| escaped(failure)).collect();
            let _ = writeln!(
                out,
                "<tr><td>{}s</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{:.0} ms</td>\
                 <td class=\"number\">{:.2} s</td><td>{}</td></tr>",
                one.kind,
                one.count,
                one.failed,
                one.median.as_secs_f64() * 1000.0,
                one.longest.as_secs_f64(),
                failures.join("<br/>")
            );
        }
        out.push_str("</table>\n");
    }
}

const fn class(condition: Condition) -> &'static str {
    match condition {
        Condition::Up => "up",
        Condition::Standby => "standby",
        Condition::Frozen => "frozen",
        Condition::Cut => "cut",
        Condition::Expired => "expired",
        Condition::Full => "full",
        Condition::Down => "down",
    }
}
