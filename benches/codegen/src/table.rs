//! The kernels of a card, as Markdown.

use std::collections::BTreeMap;

use crate::radv::Compiled;

/// A row for each kernel: its extremes over all its sizes, and its inner loop at the size where it
/// has the most multiply-adds.
pub fn of(family: &str, compiled: &[Compiled]) -> String {
    let mut kernels: BTreeMap<&str, Vec<&Compiled>> = BTreeMap::new();
    for kernel in compiled {
        kernels.entry(&kernel.name).or_default().push(kernel);
    }
    let mut text = format!(
        "\n### {family}: {} kernels, {} compiled\n\n\
         | kernel | sizes | registers | subgroups a SIMD | spilled, scratch | instructions | \
         inner loop | multiply-adds in it | a cycle |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        kernels.len(),
        compiled.len()
    );
    for (name, sizes) in kernels {
        let of = |statistic| sizes.iter().map(move |kernel| kernel.statistic(statistic));
        let inner = sizes.iter().map(|kernel| &kernel.inner);
        let inner = inner.max_by_key(|inner| inner.multiply_adds);
        let inner = inner.filter(|inner| inner.multiply_adds > 0);
        let inner = inner.map_or_else(
            || " | | ".to_owned(),
            |inner| {
                let rate = inner
                    .cycles
                    .map(|cycles| inner.multiply_adds as f64 / cycles);
                let rate = rate.map_or_else(String::new, |rate| format!("{rate:.2}"));
                format!("{} | {} | {rate}", inner.instructions, inner.multiply_adds)
            },
        );
        text += &format!(
            "| {name} | {} | {} | {} | {} | {} | {inner} |\n",
            sizes.len(),
            of("VGPRs").max().unwrap_or(0),
            of("Subgroups per SIMD").min().unwrap_or(0),
            sizes.iter().map(|kernel| kernel.spills()).sum::<u64>(),
            of("Instructions").max().unwrap_or(0),
        );
    }
    text
}
