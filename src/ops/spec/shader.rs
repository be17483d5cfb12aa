//! The WGSL of a kernel: the preludes that it shares with others, then its own file.

use std::fmt;
use std::hash::{Hash, Hasher};

/// Declarations that several kernels share: a file of `shaders/prelude/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Prelude {
    /// `WORKGROUP_SIZE`, and the flat index of an invocation.
    Invocation,
    /// The uniform `this_step`.
    Step,
    /// Loads and stores of four floats or two words, by [`Loads`].
    Loads,
    /// ReLU's test.
    Relu,
    /// One float at once; needs [`Prelude::Relu`].
    Ones,
    /// Four floats at once, in place of [`Prelude::Ones`]; needs [`Prelude::Loads`] too.
    Fours,
    /// Parts of planes.
    Parts,
    /// Sums over the lanes of a workgroup.
    Lanes,
    /// A total order of floats.
    Order,
    /// The index of a window without a winner.
    Pool,
    /// Sizes of planes and of the sliding window.
    Window,
    /// Sizes and bindings of a convolution; needs [`Prelude::Window`].
    Convolution,
    /// Softmax and the largest logit of a row.
    Logits,
    /// Random words from key and counter.
    Philox,
    /// Outer products.
    Outer,
    /// Sizes and epilogue of a product.
    Product,
    /// 4×4 tiles of a product.
    ProductTile,
    /// Factors and product in fours.
    ProductFours,
    /// Factors and product in fours, for kernels that are also for other sizes; needs
    /// [`Prelude::Loads`].
    FactorsFours,
    /// Factors and product one by one, in place of [`Prelude::FactorsFours`].
    FactorsOnes,
    /// Tiles of a workgroup.
    Tile,
    /// Sums of a tile over the lanes of a workgroup.
    TileLanes,
}

/// How kernels load and store four floats or two words at once: [`Prelude::Loads`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loads {
    /// As vectors of 32-bit words.
    Narrow,
    /// As 64-bit words, which the adapter must support.
    Wide,
}

impl Prelude {
    /// The stem of its file, and its text.
    fn file(self, loads: Loads) -> (&'static str, &'static str) {
        macro_rules! prelude {
            ($stem:literal) => {
                (
                    $stem,
                    include_str!(concat!("../../../shaders/prelude/", $stem, ".wgsl")),
                )
            };
        }
        match (self, loads) {
            (Prelude::Invocation, _) => prelude!("invocation"),
            (Prelude::Step, _) => prelude!("step"),
            (Prelude::Loads, Loads::Narrow) => prelude!("loads"),
            (Prelude::Loads, Loads::Wide) => prelude!("loads_wide"),
            (Prelude::Relu, _) => prelude!("relu"),
            (Prelude::Ones, _) => prelude!("ones"),
            (Prelude::Fours, _) => prelude!("fours"),
            (Prelude::Parts, _) => prelude!("parts"),
            (Prelude::Lanes, _) => prelude!("lanes"),
            (Prelude::Order, _) => prelude!("order"),
            (Prelude::Pool, _) => prelude!("pool"),
            (Prelude::Window, _) => prelude!("window"),
            (Prelude::Convolution, _) => prelude!("convolution"),
            (Prelude::Logits, _) => prelude!("logits"),
            (Prelude::Philox, _) => prelude!("philox"),
            (Prelude::Outer, _) => prelude!("outer"),
            (Prelude::Product, _) => prelude!("product"),
            (Prelude::ProductTile, _) => prelude!("product_tile"),
            (Prelude::ProductFours, _) => prelude!("product_fours"),
            (Prelude::FactorsFours, _) => prelude!("factors_fours"),
            (Prelude::FactorsOnes, _) => prelude!("factors_ones"),
            (Prelude::Tile, _) => prelude!("tile"),
            (Prelude::TileLanes, _) => prelude!("tile_lanes"),
        }
    }

    fn text(self, loads: Loads) -> &'static str {
        self.file(loads).1
    }
}

impl fmt::Display for Prelude {
    /// The stem of its file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file(Loads::Narrow).0)
    }
}

/// The WGSL of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shader {
    preludes: &'static [Prelude],
    file: &'static str,
}

impl Shader {
    /// The text of `file`, after that of `preludes`.
    pub const fn new(preludes: &'static [Prelude], file: &'static str) -> Self {
        Shader { preludes, file }
    }

    /// The preludes, which precede the file.
    pub fn preludes(&self) -> &'static [Prelude] {
        self.preludes
    }

    /// The kernel's own file.
    pub fn file(&self) -> &'static str {
        self.file
    }

    /// The source to compile.
    pub fn source(&self, loads: Loads) -> String {
        let preludes = self.preludes.iter().map(|prelude| prelude.text(loads));
        let parts: Vec<_> = preludes.chain([self.file]).collect();
        parts.join("\n")
    }
}

/// Hashes the whole source, so that a changed prelude changes every kernel that includes it.
impl Hash for Shader {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for prelude in self.preludes {
            prelude.text(Loads::Narrow).hash(state);
            prelude.text(Loads::Wide).hash(state);
        }
        self.file.hash(state);
    }
}
