//! Naming sets of cells in few words: `anon, thp-anon in sync, sync-user`.

use super::cell::{BACKINGS, MODES};
use super::report::Row;

/// Names the backings and modes of some rows of one case. `all` are all rows of the case.
pub fn name(some: &[&Row], all: &[&Row]) -> String {
    let backings_in = |rows: &[&Row], mode: &str| -> Vec<&'static str> {
        let has = |backing: &str| rows.iter().any(|row| row.mode == mode && row.backing == backing);
        BACKINGS.iter().map(|backing| backing.name()).filter(|backing| has(backing)).collect()
    };
    let modes = || MODES.iter().map(|mode| mode.name());
    // Modes with the same backings share a phrase.
    let mut phrases: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
    for mode in modes() {
        let backings = backings_in(some, mode);
        if backings.is_empty() {
            continue;
        }
        match phrases.iter_mut().find(|(_, others)| *others == backings) {
            Some((modes, _)) => modes.push(mode),
            None => phrases.push((vec![mode], backings)),
        }
    }
    let modes_of_case = modes().filter(|mode| all.iter().any(|row| row.mode == *mode)).count();
    let phrase = |(modes, backings): &(Vec<&str>, Vec<&str>)| {
        let every_backing = modes.iter().all(|mode| backings_in(all, mode) == *backings);
        let backings = if every_backing { "all memory".to_owned() } else { backings.join(", ") };
        if modes.len() == modes_of_case { backings } else { format!("{backings} in {}", modes.join(", ")) }
    };
    phrases.iter().map(phrase).collect::<Vec<_>>().join("; ")
}

/// Groups rows that `same` calls alike, in the order of first appearance.
pub fn groups<'a>(rows: &[&'a Row], same: impl Fn(&Row, &Row) -> bool) -> Vec<Vec<&'a Row>> {
    let mut groups: Vec<Vec<&Row>> = Vec::new();
    for &row in rows {
        match groups.iter_mut().find(|group| same(group[0], row)) {
            Some(group) => group.push(row),
            None => groups.push(vec![row]),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;

    fn row(backing: &str, mode: &str) -> Row {
        let empty = String::new();
        Row {
            case: "c".into(),
            backing: backing.into(),
            mode: mode.into(),
            observed: empty.clone(),
            expected: empty.clone(),
            verdict: Verdict::AsExpected,
            means: empty,
        }
    }

    #[test]
    fn every_cell_of_a_case_is_all_memory() {
        let rows = [row("anon", "sync"), row("hugetlb", "sync"), row("anon", "async"), row("hugetlb", "async")];
        let all: Vec<&Row> = rows.iter().collect();
        assert_eq!(name(&all, &all), "all memory");
        assert_eq!(name(&all[..2], &all), "all memory in sync");
    }

    #[test]
    fn modes_with_the_same_memory_share_a_phrase() {
        let rows = [row("anon", "sync"), row("hugetlb", "sync"), row("anon", "async"), row("hugetlb", "async")];
        let all: Vec<&Row> = rows.iter().collect();
        assert_eq!(name(&[all[0], all[2]], &all), "anon");
        assert_eq!(name(&[all[0], all[2], all[3]], &all), "anon in sync; all memory in async");
    }
}
