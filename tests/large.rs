//! Sizes that no other test reaches, by single elements: every op, and random networks.

mod common;

use wgrad::verify::{self, OutputReport};

#[test]
fn every_op_is_right_at_large_sizes() {
    let Some(device) = common::gpu() else { return };
    let reports = wgrad::block_on(verify::large(&device)).unwrap();
    for report in &reports {
        assert!(report.is_right(), "{report:?}");
    }
    let ops: std::collections::BTreeSet<&str> = reports.iter().map(|report| report.op).collect();
    println!(
        "{device}: {} outputs of {} kernels",
        reports.len(),
        ops.len()
    );
    // Without subgroups six kernels are left out.
    assert!(ops.len() >= 30, "{ops:?}");
}

/// As many networks as `WGRAD_LARGE_NETWORKS` says, else a few: each takes seconds on a processor.
#[test]
fn random_large_networks_are_right() {
    let Some(device) = common::gpu() else { return };
    let count = std::env::var("WGRAD_LARGE_NETWORKS").ok();
    let count: usize = count.map_or(8, |text| text.parse().expect("a number of networks"));
    let reports = wgrad::block_on(verify::networks(&device, 1, count)).unwrap();
    let mut refused = 0;
    for report in &reports {
        match &report.outputs {
            Ok(outputs) => println!("{} outputs right: {}", outputs.len(), report.network),
            Err(why) => {
                refused += 1;
                println!("refused: {}: {why}", report.network);
            }
        }
        let wrong = report
            .outputs
            .iter()
            .flatten()
            .find(|output| !OutputReport::is_right(output));
        assert!(wrong.is_none(), "{}: {wrong:?}", report.network);
    }
    println!(
        "{device}: {} networks, {refused} of them refused",
        reports.len()
    );
    assert!(2 * refused <= reports.len());
}
