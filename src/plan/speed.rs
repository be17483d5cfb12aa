//! Predicts how long a plan takes from the costs of its ops and three figures of a device.

use std::time::Duration;

use super::{Phase, Plan};

/// What limits a device, by its data sheet or by measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// f32 operations a second; a multiply-add is two.
    pub flop_per_second: f64,
    /// Bytes a second, read and written.
    pub bytes_per_second: f64,
    /// Seconds for an empty dispatch among many.
    pub dispatch_seconds: f64,
}

/// An op takes at least as long as this many empty dispatches: work is dealt out at its beginning,
/// and at its end most of the device waits for the last workgroups. Fitted, like the shares, to
/// steps of two to five networks on lavapipe and on an NVIDIA H200.
const AT_LEAST: f64 = 4.0;

/// The share of the f32 rate that kernels reach.
const SHARE_OF_RATE: f64 = 0.18;

/// The share of the bandwidth that kernels reach.
const SHARE_OF_BANDWIDTH: f64 = 0.5;

impl Figures {
    /// Of a device with that f32 rate in TFLOP/s and that bandwidth in GB/s, whose driver needs 2.5
    /// µs for a dispatch, as measured on an NVIDIA H200.
    const fn of(teraflops: f64, gigabytes: f64) -> Self {
        Figures {
            flop_per_second: teraflops * 1e12,
            bytes_per_second: gigabytes * 1e9,
            dispatch_seconds: 2.5e-6,
        }
    }
}

/// Cards and their figures: f32 without matrix units, and the bandwidth of memory, from the data
/// sheets of their makers. Those of AMD's RDNA 3 count two operations an instruction, which
/// compilers rarely pair, so that here they are halved.
pub const CARDS: [(&str, Figures); 13] = [
    ("NVIDIA H200 SXM", Figures::of(67.0, 4800.0)),
    ("NVIDIA H100 SXM", Figures::of(67.0, 3350.0)),
    ("NVIDIA GeForce RTX 5080", Figures::of(56.3, 960.0)),
    ("NVIDIA GeForce RTX 4090", Figures::of(82.6, 1008.0)),
    ("NVIDIA GeForce RTX 4070", Figures::of(29.1, 504.0)),
    ("NVIDIA GeForce RTX 3060", Figures::of(12.7, 360.0)),
    ("AMD Radeon RX 7900 XT", Figures::of(25.8, 800.0)),
    ("AMD Radeon RX 6800 XT", Figures::of(20.7, 512.0)),
    ("AMD Radeon RX Vega 64", Figures::of(12.7, 484.0)),
    ("Intel Arc A770", Figures::of(19.7, 560.0)),
    ("Apple M1", Figures::of(2.6, 68.0)),
    ("Apple M2 Pro", Figures::of(6.8, 200.0)),
    ("Apple M4 Max", Figures::of(18.4, 546.0)),
];

impl Plan {
    /// The predicted time of one step of `phases` on a device.
    ///
    /// Of each op: the overhead of a dispatch, and the longer of its arithmetic and its memory
    /// traffic (the roofline of Williams, Waterman & Patterson, 2009), both at a typical share of the
    /// device's rates. It knows nothing of kernels, caches and drivers: expect a factor of 1.5 either
    /// way, and more where a kernel does not suit a size.
    pub fn predicted_time(&self, phases: &[Phase], figures: &Figures) -> Duration {
        let of_op = |node: usize| {
            let cost = self.nodes()[node].op.cost();
            let arithmetic = cost.flop as f64 / (SHARE_OF_RATE * figures.flop_per_second);
            let memory = cost.bytes as f64 / (SHARE_OF_BANDWIDTH * figures.bytes_per_second);
            AT_LEAST * figures.dispatch_seconds + arithmetic.max(memory)
        };
        let seconds = self.nodes_of(phases).map(of_op).sum();
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::ReluForward;
    use crate::plan::Builder;

    #[test]
    fn an_op_takes_the_longer_of_its_arithmetic_and_its_traffic() {
        let op = ReluForward { len: 1 << 20 };
        let mut plan = Builder::new(false);
        let (inputs, outputs) = plan.tensors_of(&op).unwrap();
        plan.op(Phase::Forward, op, &inputs, &outputs).unwrap();
        let plan = plan.finish();
        let time = |flop_per_second, bytes_per_second| {
            let figures = Figures {
                flop_per_second,
                bytes_per_second,
                dispatch_seconds: 1.0,
            };
            plan.predicted_time(&[Phase::Forward], &figures)
                .as_secs_f64()
                - AT_LEAST
        };
        let bytes = f64::from(8 << 20) / SHARE_OF_BANDWIDTH;
        assert!((time(f64::INFINITY, bytes) - 1.0).abs() < 1e-6);
        let flop = f64::from(1 << 20) / SHARE_OF_RATE;
        assert!((time(flop / 2.0, bytes) - 2.0).abs() < 1e-6);
        assert!(
            plan.predicted_time(&[Phase::Backward], &CARDS[0].1)
                .is_zero()
        );
    }
}
