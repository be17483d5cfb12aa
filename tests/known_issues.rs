//! What drivers were seen to do that the kernels and their bounds must live with. An entry says what
//! was seen where, and its test shows it; a bound is never loosened for one.
//!
//! No driver is known to compute anything wrong: lavapipe (Mesa 22.3.6), llvmpipe's GL (the same) and
//! SwiftShader pass every test under the same bounds.
//!
//! Seen, and out of this crate's hands: with the process's addresses limited (`ulimit -v 900000`),
//! llvmpipe's GL ends it with a segmentation fault when memory runs out; lavapipe reports it, and so the
//! error names the buffer (`tests/faults.rs`).

mod common;

use wgrad::ops::{Gemm, Operand, Step};
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
