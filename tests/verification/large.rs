//! Random networks of sizes that no other test reaches, checked by single elements.

use crate::common;
use wgrad::verify::{self, OutputReport};

/// `WGRAD_LARGE_NETWORKS` sets the number of networks, 4 by default: each takes seconds on a CPU.
#[test]
fn random_large_networks_are_right() {
    let Some(device) = common::gpu() else { return };
    let count = std::env::var("WGRAD_LARGE_NETWORKS").ok();
    let count: usize = count.map_or(4, |text| text.parse().expect("a number of networks"));
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
            .find(|output| !OutputReport::passes(output));
        assert!(wrong.is_none(), "{}: {wrong:?}", report.network);
    }
    println!(
        "{device}: {} networks, {refused} of them refused",
        reports.len()
    );
    assert!(2 * refused <= reports.len());
}
