//! The text under which files keep the kernel that was chosen for a product.

use crate::ops::{Epilogue, Product};

/// The sizes of a product, how its factors are stored and what follows it. Files hold it: it must
/// never change.
pub(in crate::ops) fn text(product: &Product) -> String {
    let Product { batch, m, n, k, .. } = product;
    let mut text = format!("product of {batch} {m}×{k} by {k}×{n}");
    for (is_so, word) in [
        (product.a_shared, "one A"),
        (product.a_transposed, "A transposed"),
        (product.b_transposed, "B transposed"),
        (product.accumulate, "accumulated"),
    ] {
        if is_so {
            text += &format!(", {word}");
        }
    }
    text += match product.epilogue {
        Epilogue::Plain => "",
        Epilogue::Bias {
            of_rows: true,
            relu: false,
        } => ", bias of rows",
        Epilogue::Bias {
            of_rows: true,
            relu: true,
        } => ", bias of rows, ReLU",
        Epilogue::Bias {
            of_rows: false,
            relu: false,
        } => ", bias",
        Epilogue::Bias {
            of_rows: false,
            relu: true,
        } => ", bias, ReLU",
        Epilogue::ReluGradient => ", masked",
        Epilogue::RowSums => ", row sums",
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checkpoints and caches hold these texts.
    #[test]
    fn texts_stay_what_files_hold() {
        let bias = Epilogue::Bias {
            of_rows: true,
            relu: true,
        };
        let product = Product {
            batch: 8,
            a_shared: true,
            ..Product::new([4, 676, 9], [false, true], bias)
        };
        assert_eq!(
            text(&product),
            "product of 8 4×9 by 9×676, one A, B transposed, bias of rows, ReLU"
        );
        let sums = Product {
            accumulate: true,
            ..Product::new([32, 676, 32], [true, false], Epilogue::RowSums)
        };
        assert_eq!(
            text(&sums),
            "product of 1 32×32 by 32×676, A transposed, accumulated, row sums"
        );
    }
}
