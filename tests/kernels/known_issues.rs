//! What drivers were seen to do that the kernels and their bounds must live with. An entry says what
//! was seen where, and its test shows it; a bound is never loosened for one.
//!
//! lavapipe and llvmpipe's GL (Mesa 22.3.6) end the loops of an invocation after 65,535 iterations, all loops
//! counted together, and say nothing; so plans never have longer ones there. SwiftShader was seen to go round
//! 2²⁰ times. Else no driver is known to compute anything wrong: all three pass every test under the same
//! bounds.
//!
//! Seen, and out of this crate's hands: with the process's addresses limited (`ulimit -v 900000`),
//! llvmpipe's GL ends it with a segmentation fault when memory runs out; lavapipe reports it, and so the
//! error names the buffer (`tests/faults.rs`).

use crate::common::{self, altered::Altered};
use wgrad::Device;
use wgrad::ops::{Gemm, Operand, ReduceSum, Step};
use wgrad::plan::{Builder, Element, Phase, Role};

/// Subnormal factors. SwiftShader takes them for zero before it multiplies, so that a subnormal times
/// 2¹³, a normal number, is lost; lavapipe and llvmpipe's GL multiply them. WGSL allows both, at every
/// operation; `ErrorBound::Products` therefore allows what is lost with them, and nothing else.
#[test]
fn subnormal_factors_are_kept_or_taken_for_zero() {
    let Some(device) = common::gpu() else { return };
    let gemm = Gemm {
        batch: 1,
        m: 1,
        n: 1,
        k: 1,
        a: Operand::PLAIN,
        b: Operand::PLAIN,
        split_k: 1,
        accumulate: false,
    };
    let mut plan = Builder::new(false);
    let mut one = |name: &str| plan.tensor(name, [1], Element::F32, Role::Input).unwrap();
    let [a, b, product] = ["a", "b", "product"].map(&mut one);
    plan.op(Phase::Forward, gemm, &[a, b], &[product]).unwrap();
    wgrad::block_on(async {
        let mut executor = device.load(plan.finish()).await.unwrap();
        let (subnormal, factor) = (f32::MIN_POSITIVE / 4.0, 8192.0);
        executor.write(a, &[subnormal]).unwrap();
        executor.write(b, &[factor]).unwrap();
        executor
            .run(&[Phase::Forward], &[Step::new(0, 1, 0, 0.0)])
            .unwrap();
        let found = executor.read(product).await.unwrap()[0];
        println!("{device}: {subnormal:e} × {factor} = {found:e}");
        assert!(found == subnormal * factor || found == 0.0, "{found:e}");
    });
}

/// A sum that says nothing of its loop, so that it is never split.
fn whole(parts: usize) -> Altered {
    Altered::new(Box::new(ReduceSum::new(parts, 1))).without_loops()
}

/// A sum of `parts` ones in one loop, as the driver computes it.
fn sum_of_ones(device: &Device, parts: usize) -> f32 {
    let mut plan = Builder::new(false);
    let mut tensor =
        |name: &str, len: usize| plan.tensor(name, [len], Element::F32, Role::Input).unwrap();
    let (ones, sum) = (tensor("ones", parts), tensor("sum", 1));
    plan.op(Phase::Forward, whole(parts), &[ones], &[sum])
        .unwrap();
    wgrad::block_on(async {
        let mut executor = device.load(plan.finish()).await.unwrap();
        executor.write(ones, &vec![1.0; parts]).unwrap();
        executor
            .run(&[Phase::Forward], &[Step::new(0, 1, 0, 0.0)])
            .unwrap();
        executor.read(sum).await.unwrap()[0]
    })
}

/// Loops that are cut short. A sum of ones says how far its loop went: llvmpipe, by Vulkan and by GL, goes round
/// 65,535 times. What the probe measured is never more than that, and up to there a sum is whole.
#[test]
fn loops_are_cut_short_by_llvmpipe_and_measured() {
    let Some(device) = common::gpu() else { return };
    // The spot check would refuse the op, and that is another test.
    let unchecked = device.clone().without_spot_checks();
    let found = [65_535, 65_536, 600_000].map(|ones| sum_of_ones(&unchecked, ones));
    println!("{device}: sums of 65,535, 65,536 and 600,000 ones: {found:?}");
    let is_llvmpipe = device.to_string().contains("llvmpipe");
    let expected = if is_llvmpipe {
        [65_535.0; 3]
    } else {
        [65_535.0, 65_536.0, 600_000.0]
    };
    assert_eq!(found, expected);
    let measured = device.adapter().and_then(|adapter| adapter.longest_loop());
    assert_eq!(measured, Some(if is_llvmpipe { 65_535 } else { 1 << 20 }));
}

/// What the spot check is for: a kernel that stops early is refused, whatever it says of its loop.
#[test]
fn a_sum_that_stops_early_is_refused() {
    let Some(device) = common::gpu() else { return };
    let sum = whole(65_536);
    let mut plan = Builder::new(false);
    let (inputs, outputs) = plan.tensors_of(&sum).unwrap();
    plan.op(Phase::Forward, sum, &inputs, &outputs).unwrap();
    let loaded = wgrad::block_on(device.load(plan.finish()));
    if !device.to_string().contains("llvmpipe") {
        assert!(loaded.is_ok());
        return;
    }
    let error = loaded.unwrap_err().to_string();
    println!("{error}");
    assert!(
        error.starts_with("kernel `reduce_sum` is wrong on llvmpipe"),
        "{error}"
    );
    assert!(error.contains("at element 0 of sum, got "), "{error}");
}
