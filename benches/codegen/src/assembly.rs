//! The inner loop of a kernel's assembly.

use std::io::Write;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// The straight-line block that a kernel repeats, with the most multiply-adds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Loop {
    pub instructions: usize,
    pub multiply_adds: usize,
    /// The issue cycles of its instructions, by LLVM's model of gfx1030; `None` without `llvm-mca`
    /// or for another card.
    pub cycles: Option<f64>,
}

/// The block of the assembly with the most multiply-adds, of those within a loop. The compiler
/// names blocks `BB` and their number; a loop ends in a branch to a block before it.
pub fn inner_loop(assembly: &str) -> Loop {
    let mut blocks: Vec<(usize, Vec<&str>)> = Vec::new();
    for line in assembly.lines() {
        let code = line.split(';').next().unwrap_or_default().trim();
        match number(code.strip_suffix(':')) {
            Some(number) => blocks.push((number, Vec::new())),
            None if code.is_empty() => {}
            None => {
                if let Some((_, lines)) = blocks.last_mut() {
                    lines.push(code);
                }
            }
        }
    }
    let loops: Vec<(usize, usize)> = blocks
        .iter()
        .flat_map(|(at, lines)| lines.iter().map(|line| (*at, *line)))
        .filter(|(_, line)| line.starts_with("s_branch") || line.starts_with("s_cbranch"))
        .filter_map(|(at, line)| Some((number(line.split_whitespace().nth(1))?, at)))
        .filter(|(target, at)| target <= at)
        .collect();
    let is_repeated = |number: usize| {
        let within = |&(first, last): &(usize, usize)| (first..=last).contains(&number);
        loops.iter().any(within)
    };
    let repeated = blocks.iter().filter(|(number, _)| is_repeated(*number));
    let most = repeated.max_by_key(|(_, lines)| multiply_adds(lines));
    let Some((_, lines)) = most.filter(|(_, lines)| multiply_adds(lines) > 0) else {
        return Loop::default();
    };
    Loop {
        instructions: lines.len(),
        multiply_adds: multiply_adds(lines),
        cycles: cycles(lines),
    }
}

/// The number of a block's name.
fn number(name: Option<&str>) -> Option<usize> {
    name?.strip_prefix("BB")?.parse().ok()
}

/// Of GCN and RDNA: fused or not; RDNA 3 can put two into an instruction.
const MULTIPLY_ADDS: [&str; 6] = [
    "v_fma_f32",
    "v_fmac_f32",
    "v_dual_fmac_f32",
    "v_fmamk_f32",
    "v_mac_f32",
    "v_mad_f32",
];

fn multiply_adds(lines: &[&str]) -> usize {
    let of = |line: &&str| {
        MULTIPLY_ADDS
            .iter()
            .map(|name| line.matches(name).count())
            .sum::<usize>()
    };
    lines.iter().map(of).sum()
}

/// Issue cycles by `llvm-mca`.
fn cycles(lines: &[&str]) -> Option<f64> {
    if std::env::var("RADV_FORCE_FAMILY").ok()? != "NAVI21" {
        return None;
    }
    let mut file = tempfile::NamedTempFile::new().ok()?;
    let straight = lines.iter().filter(|line| !line.contains("branch"));
    for line in straight {
        writeln!(file, "{line}").ok()?;
    }
    let run = Command::new("llvm-mca")
        .args(["-mtriple=amdgcn", "-mcpu=gfx1030", "-iterations=20"])
        .arg(file.path())
        .output();
    let report = String::from_utf8(run.ok()?.stdout).ok()?;
    let mut named = report
        .lines()
        .filter_map(|line| line.strip_prefix("Block RThroughput:"));
    named.next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repeated_block_with_the_most_multiply_adds_is_the_inner_loop() {
        let text = "BB0:\n\tv_fma_f32 v0, v1, v2, v3 ; d5\n\tv_fma_f32 v0, v1, v2, v3\nBB1:\n\
                    \tds_read_b128 v1, v2\n\tv_fmac_f32 v0, v1, v2\n\ts_cbranch_scc0 BB1\nBB2:\n\ts_endpgm\n";
        let inner = inner_loop(text);
        assert_eq!((inner.instructions, inner.multiply_adds), (3, 1));
    }

    #[test]
    fn a_kernel_without_loops_has_none() {
        assert_eq!(
            inner_loop("BB0:\n\tv_fma_f32 v0, v1, v2, v3\n").multiply_adds,
            0
        );
    }
}
