//! A fused product as separate ops: the plain product in parts, and an op for each piece of its
//! epilogue.

use crate::ops::{
    BiasForward, Epilogue, Gemm, Operand, Product, ReduceSum, ReluBackward, ReluForward, Slot,
    Split,
};

/// The product's parts, their sum, and its epilogue. `None` if one part suffices, or if the
/// epilogue sums the rows of a shared A, for which there is no op.
pub(in crate::ops) fn split(product: &Product, longest: u64) -> Option<Split> {
    // The last iteration of a loop only finds its end.
    let parts = (product.k as u64).div_ceil(longest.max(2) - 1) as usize;
    let has_sums = product.epilogue == Epilogue::RowSums;
    if parts < 2 || (has_sums && product.a_shared) {
        return None;
    }
    let Product { batch, m, n, k, .. } = *product;
    let len = m * n;
    let mut split = Split::new();
    let partial = split.scratch(batch * parts * len);
    let gemm = Gemm {
        split_k: parts,
        ..plain(product)
    };
    split.step(gemm, &[Slot::Input(0), Slot::Input(1)], &[partial]);

    let ends_here = matches!(product.epilogue, Epilogue::Plain | Epilogue::RowSums);
    let sum = if ends_here {
        Slot::Output(0)
    } else {
        split.scratch(batch * len)
    };
    let reduce = ReduceSum {
        accumulate: product.accumulate,
        ..ReduceSum::of_groups(batch, parts, len)
    };
    split.step(reduce, &[partial], &[sum]);
    match product.epilogue {
        Epilogue::Plain => {}
        Epilogue::Bias { of_rows, relu } => {
            let biased = if relu {
                split.scratch(batch * len)
            } else {
                Slot::Output(0)
            };
            let bias = match of_rows {
                true => BiasForward {
                    batch,
                    channels: m,
                    area: n,
                },
                false => BiasForward {
                    batch: batch * m,
                    channels: n,
                    area: 1,
                },
            };
            split.step(bias, &[sum, Slot::Input(2)], &[biased]);
            if relu {
                split.step(
                    ReluForward { len: batch * len },
                    &[biased],
                    &[Slot::Output(0)],
                );
            }
        }
        Epilogue::ReluGradient => {
            let mask = ReluBackward { len: batch * len };
            split.step(mask, &[Slot::Input(2), sum], &[Slot::Output(0)]);
        }
        Epilogue::RowSums => {
            let rows = match product.a_transposed {
                true => ReduceSum::of_groups(batch, k, m),
                false => ReduceSum::of_groups(batch * m, k, 1),
            };
            let rows = ReduceSum {
                accumulate: product.accumulate,
                ..rows
            };
            split.step(rows, &[Slot::Input(0)], &[Slot::Output(1)]);
        }
    }
    Some(split)
}

/// The product without its epilogue, as the readable plan's op.
fn plain(product: &Product) -> Gemm {
    let operand = |transposed, shared: bool| Operand {
        transposed,
        matrices: shared.then_some(1),
    };
    let Product { batch, m, n, k, .. } = *product;
    let a = operand(product.a_transposed, product.a_shared);
    Gemm::new(batch, [m, n, k], a, operand(product.b_transposed, false))
}
