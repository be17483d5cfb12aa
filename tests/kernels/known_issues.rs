//! Driver behaviour that the kernels and their bounds must cope with. Each entry names the driver
//! and has a test that shows the behaviour; no bound is loosened for one.
//!
//! lavapipe and llvmpipe's GL (Mesa 22.3.6) silently end the loops of an invocation after 65,535
//! iterations, counted over all its loops, so plans never have longer ones there. SwiftShader was
//! observed to run 2²⁰ iterations. No driver is known to compute anything else wrong: all three
//! pass every test under the same bounds.
//!
//! Observed, but outside this crate's control: with the address space limited (`ulimit -v 900000`),
//! llvmpipe's GL ends the process with a segmentation fault when memory runs out; lavapipe reports
//! it, so the error names the buffer (`tests/faults.rs`).

use crate::common::{self, altered::Altered};
use wgrad::Device;
use wgrad::ops::{Gemm, Operand, ReduceSum, Step};
use wgrad::plan::{Builder, Element, Phase, Role};

/// Subnormal factors. SwiftShader flushes them to zero before multiplying, so that a subnormal
/// times 2¹³, a normal number, is lost; lavapipe and llvmpipe's GL multiply them. WGSL allows both,
/// in every operation; `ErrorBound::Products` therefore allows what flushing loses, and nothing
/// else.
#[test]
fn subnormal_factors_are_kept_or_flushed_to_zero() {
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

/// A sum that declares no loop, so that it is never split.
fn whole(parts: usize) -> Altered {
    Altered::new(Box::new(ReduceSum::new(parts, 1))).without_loops()
}

/// A sum of `parts` ones in a single loop, as the driver computes it.
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

/// Loops that are cut short. A sum of ones shows how many iterations ran: 65,535 on llvmpipe, with
/// both Vulkan and GL. The probe never measures more than that, and sums up to that length are
/// complete.
#[test]
fn loops_are_cut_short_by_llvmpipe_and_measured() {
    let Some(device) = common::gpu() else { return };
    // The spot check would refuse the op; that is tested below.
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

/// The purpose of the spot check: a kernel that stops early is refused, whatever loop length it
/// declares.
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
