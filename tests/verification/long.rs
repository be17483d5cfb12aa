//! Random networks of twenty layers of all kinds, whose training steps run op by op.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::common;
use wgrad::verify;

/// `WGRAD_LONG_NETWORKS` sets the number of networks, 2 by default: a driver compiles some hundred
/// kernels for each.
#[test]
fn random_long_networks_are_right() {
    let Some(device) = common::gpu() else { return };
    let count = std::env::var("WGRAD_LONG_NETWORKS").ok();
    let count: usize = count.map_or(2, |text| text.parse().expect("a number of networks"));
    let begin = Instant::now();
    let reports = wgrad::block_on(verify::long_networks(&device, 1, count, 20)).unwrap();
    let seconds = begin.elapsed().as_secs_f64();
    assert_eq!(reports.len(), count);
    let outputs = reports.iter().flat_map(|report| &report.outputs).flatten();
    let worst = outputs
        .clone()
        .max_by(|a, b| a.error_ratio.total_cmp(&b.error_ratio));
    let kinds: BTreeSet<&String> = reports.iter().flat_map(|report| &report.kinds).collect();
    println!(
        "{device}: {count} networks of {kinds:?} in {seconds:.1} s, {} outputs, the worst: {worst:?}",
        outputs.count(),
    );
    for report in &reports {
        let outputs = report.outputs.as_ref();
        let outputs = outputs.unwrap_or_else(|why| panic!("{}: {why}", report.network));
        // What is not finite would be compared with its like.
        let losses = outputs
            .iter()
            .filter(|output| output.tensor == "metrics.loss_sum");
        let mut losses = losses.map(|output| output.at.2);
        assert!(losses.all(f32::is_finite), "{}", report.network);
        let wrong: Vec<_> = outputs.iter().filter(|output| !output.passes()).collect();
        for output in &wrong {
            println!("WRONG: {}: {output:?}", report.network);
        }
    }
    assert!(
        reports.iter().all(verify::NetworkReport::passes),
        "wrong outputs: see above"
    );
}
