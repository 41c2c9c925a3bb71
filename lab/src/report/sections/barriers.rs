//! What each mechanism costs a page, beside what the kernel takes for it anyway.

use crate::report::document::{Block, Entry, Figure, Panel, Section, code};
use crate::report::figures::lines::{self, Line};
use crate::report::figures::looks::{Look, Marker};
use crate::report::figures::scale::Scale;
use crate::report::figures::theme::Ink;
use crate::report::figures::{Fault, sample};
use crate::report::input::Results;
use crate::report::input::barriers::{Barriers, Row, Spread};
use crate::report::numbers::{UNKNOWN, factor, number, short};

/// Scans by how much of the memory was written, as far as results have them.
const SCANS: [&str; 5] = ["scan-clean", "scan-0.1%", "scan-1%", "scan-10%", "scan-100%"];

const MARKERS: [Marker; 4] = [Marker::Disc, Marker::Square, Marker::Up, Marker::Diamond];

/// The chapter and its parts.
pub fn sections(results: &Results) -> Result<Vec<Section>, Fault> {
    let mut chapter = Section::chapter("Barriers");
    let Some(barriers) = &results.barriers else {
        chapter.say("These results have no costs of the barriers; `pagemark barriers` measures them.");
        return Ok(vec![chapter]);
    };
    chapter.say(format!(
        "Nanoseconds for a page, medians of {} rounds over {} pages of 4 KB. The collector's barrier is called as a cycle calls it; `bare` is the same work \
         done by the same program with system calls alone, on memory of its own, right after it. What lies between the two is ours, what lies below is the \
         kernel's.",
        barriers.rounds, barriers.pages
    ));
    if barriers.rows.is_empty() {
        chapter.say("There are no rows.");
    }
    let missing: Vec<String> = barriers
        .unavailable
        .iter()
        .map(|row| format!("`{}` on `{}`: {}", row.mechanism, row.backing, code(&row.why)))
        .collect();
    if !missing.is_empty() {
        chapter.say("Not measured:");
        chapter.blocks.push(Block::List(missing));
    }
    let mut sections = vec![chapter];
    let mut whats: Vec<&str> = Vec::new();
    for row in &barriers.rows {
        if !whats.contains(&row.what.as_str()) {
            whats.push(&row.what);
        }
    }
    for what in &whats {
        let mut section = Section::part(title(what));
        // The scans have one picture together.
        if !SCANS.contains(what) {
            figure(&mut section, barriers, &title(what), by_threads(barriers, what), "threads that write")?;
        }
        table(&mut section, barriers, what);
        sections.push(section);
    }
    let scans: Vec<&str> = SCANS.into_iter().filter(|scan| whats.contains(scan)).collect();
    if scans.len() > 1 {
        let mut section = Section::part("Scans, by how much was written");
        figure(&mut section, barriers, "scans", by_written(barriers, &scans), "share of the pages that was written")?;
        sections.push(section);
    }
    controls(&mut sections, barriers);
    Ok(sections)
}

fn title(what: &str) -> String {
    match what {
        "first-write" => "Cost of a page dirtied: the first write to an armed page".into(),
        "arm" => "Cost of a page armed".into(),
        "scan-clean" => "Cost of a page scanned, nothing written".into(),
        other => match other.strip_prefix("scan-") {
            Some(share) => format!("Cost of a page scanned and armed again, {share} written"),
            None => other.into(),
        },
    }
}

/// Values in order, in first-come order of what names them.
fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for value in values {
        if !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    distinct
}

/// Rows to draw with their places on the horizontal axis, and what stands there.
struct Places<'a> {
    rows: Vec<(f64, &'a Row)>,
    last: f64,
    write: fn(f64) -> String,
}

fn by_threads<'a>(barriers: &'a Barriers, what: &str) -> Places<'a> {
    let rows: Vec<(f64, &Row)> =
        barriers.rows.iter().filter(|row| row.what == what).map(|row| (row.threads as f64 - 1.0, row)).collect();
    let last = rows.iter().map(|(place, _)| *place).fold(0.0, f64::max);
    Places { rows, last, write: |place| short(place + 1.0) }
}

/// With as few threads as there are: the scan is one thread's work.
fn by_written<'a>(barriers: &'a Barriers, scans: &[&str]) -> Places<'a> {
    let fewest = barriers.rows.iter().map(|row| row.threads).min();
    let place =
        |row: &'a Row| Some((SCANS.iter().position(|scan| scans.contains(scan) && *scan == row.what)? as f64, row));
    let rows = barriers.rows.iter().filter(|row| Some(row.threads) == fewest).filter_map(place).collect();
    let write = |place: f64| {
        let scan = SCANS.get(place.round() as usize).and_then(|scan| scan.strip_prefix("scan-"));
        scan.map_or_else(String::new, |share| if share == "clean" { "none".into() } else { share.into() })
    };
    Places { rows, last: SCANS.len() as f64 - 1.0, write }
}

fn figure(section: &mut Section, barriers: &Barriers, about: &str, places: Places, x_title: &str) -> Result<(), Fault> {
    let ours = |row: &Row| row.ours_ns.map(|spread| spread.median);
    let bare = |row: &Row| row.bare_ns.map(|spread| spread.median);
    let values: Vec<f64> = places.rows.iter().flat_map(|(_, row)| [ours(row), bare(row)]).flatten().collect();
    if values.is_empty() {
        return Ok(());
    }
    let ticks: Vec<f64> = (0..=places.last as usize).map(|place| place as f64).collect();
    let x = Scale::linear_at(-0.2, places.last + 0.2, &ticks, places.write);
    let y = Scale::log(values.into_iter().map(|value| value.max(1e-3)), 8);
    let mechanisms = distinct(barriers.rows.iter().map(|row| row.mechanism.as_str()));
    let mut panels = Vec::new();
    for backing in distinct(places.rows.iter().map(|(_, row)| row.backing.as_str())) {
        let mut drawn = Vec::new();
        for (index, mechanism) in mechanisms.iter().enumerate() {
            for (kind, dash, of) in [("", 0, &ours as &dyn Fn(&Row) -> Option<f64>), (", bare", 2, &bare)] {
                let mine = places.rows.iter().filter(|(_, row)| row.mechanism == *mechanism && row.backing == backing);
                let mut points: Vec<(f64, f64)> = mine.filter_map(|(place, row)| Some((*place, of(row)?))).collect();
                points.sort_by(|a, b| a.0.total_cmp(&b.0));
                if !points.is_empty() {
                    let marker = MARKERS[index % MARKERS.len()];
                    let look = Look { ink: Ink::Series(index), dash, marker, width: 2 };
                    drawn.push(Line { label: format!("{mechanism}{kind}"), look, points, marks: true });
                }
            }
        }
        let legend = drawn.iter().map(|line| Ok((line.label.clone(), sample(&line.look, true)?)));
        let legend = legend.collect::<Result<Vec<_>, Fault>>()?;
        let svg =
            lines::draw(&format!("{about}, {backing}"), (x.clone(), x_title), (y.clone(), "ns a page (log)"), &drawn)?;
        panels.push(Panel { title: backing.to_string(), svg, legend });
    }
    section.blocks.push(Block::Figure(Figure {
        caption: "Whole lines: the collector's barrier. Dotted lines: the bare system calls. Wall time, medians; both axes are the same in all panels.".into(),
        panels,
        command: code(&barriers.command),
    }));
    Ok(())
}

/// What a column is about: the collector's, and the bare one beside it.
type Pair = fn(&Row) -> (Option<Spread>, Option<Spread>);

fn table(section: &mut Section, barriers: &Barriers, what: &str) {
    let rows: Vec<&Row> = barriers.rows.iter().filter(|row| row.what == what).collect();
    let mut threads = distinct(rows.iter().map(|row| row.threads));
    threads.sort_unstable();
    let kinds: [(&str, Pair); 2] =
        [("wall time", |row| (row.ours_ns, row.bare_ns)), ("processor time", |row| (row.ours_cpu_ns, row.bare_cpu_ns))];
    let columns: Vec<(String, u64, Pair)> = kinds
        .iter()
        .flat_map(|(kind, pair)| threads.iter().map(move |n| (format!("{kind}, {}", counted(*n)), *n, *pair)))
        .collect();
    let head: Vec<&str> = std::iter::once("").chain(columns.iter().map(|(title, _, _)| title.as_str())).collect();
    let names = distinct(rows.iter().map(|row| (row.mechanism.as_str(), row.backing.as_str())));
    let line = |(mechanism, backing): (&str, &str)| -> Vec<Entry> {
        let cell = |(_, n, pair): &(String, u64, Pair)| {
            let wanted = |row: &&&Row| row.mechanism == mechanism && row.backing == backing && row.threads == *n;
            rows.iter().find(wanted).map_or_else(|| Entry::from(UNKNOWN), |row| beside_bare(pair(row)))
        };
        std::iter::once(Entry::from(format!("{mechanism}, {backing}"))).chain(columns.iter().map(cell)).collect()
    };
    section.table(&head, names.into_iter().map(line).collect());
    section.say(format!(
        "Nanoseconds for a page: the median and its quartiles; then the median of the bare calls, and the ratio to it. Again: {}.",
        code(&barriers.command)
    ));
}

fn counted(threads: u64) -> String {
    if threads == 1 { "1 thread".into() } else { format!("{threads} threads") }
}

/// The collector's cost, and what it is beside the bare one's.
fn beside_bare((ours, bare): (Option<Spread>, Option<Spread>)) -> Entry {
    let Some(ours) = ours else { return UNKNOWN.into() };
    let mut entry = nanoseconds(ours);
    let ratio = bare.map(|bare| (bare.median, ours.median / bare.median)).filter(|(_, ratio)| ratio.is_finite());
    let beside =
        ratio.map_or_else(|| "no bare one".into(), |(bare, ratio)| format!("bare {}, {}", number(bare), factor(ratio)));
    entry.spread = entry.spread.map(|spread| format!("{spread}; {beside}"));
    entry
}

fn nanoseconds(spread: Spread) -> Entry {
    Entry { text: number(spread.median), spread: Some(format!("{}–{}", number(spread.q1), number(spread.q3))) }
}

fn controls(sections: &mut Vec<Section>, barriers: &Barriers) {
    if barriers.controls.is_empty() {
        return;
    }
    let mut section = Section::part("What no barrier has a part in");
    let rows = barriers.controls.iter().map(|control| {
        let threads = counted(control.threads);
        vec![Entry::from(format!("{}, {}, {threads}", control.what, control.backing)), nanoseconds(control.ns)]
    });
    section.table(&["", "ns a page"], rows.collect());
    section.say("A write to a page that is tracked by nobody, and the first write to a page that has no memory yet: any program pays these.");
    sections.push(section);
}
