//! The product of planes and a factor for each, or of two arrays.

use rayon::prelude::*;

use super::case::{Case, Random, Read};
use super::reference::arithmetic::{ELEMENT, min_task_len};
use super::{
    Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude, Shader, Sum,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation],
    include_str!("../../shaders/multiply.wgsl"),
);

/// `products[p, i] = planes[p, i]·factors[p]`. With an area of 1 it is the product of two arrays.
/// The gradient of the planes is the same product, with that of the products as planes; that of
/// the factors is the sum over each plane of the product of both arrays.
#[derive(Debug, Clone)]
pub struct Multiply {
    /// N·C.
    pub planes: usize,
    /// H·W.
    pub area: usize,
}

impl Multiply {
    /// The product of two arrays of `len` elements.
    pub fn elementwise(len: usize) -> Self {
        Multiply {
            planes: len,
            area: 1,
        }
    }
}

impl Op for Multiply {
    fn name(&self) -> &'static str {
        "multiply"
    }

    fn bindings(&self) -> Bindings {
        let len = self.planes * self.area;
        Bindings::new([
            Binding::read("planes", len),
            Binding::read("factors", self.planes),
            Binding::write("products", len),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.planes * self.area)
            .constants([("PLANES", self.planes as f64), ("AREA", self.area as f64)])
    }

    fn cost(&self) -> Cost {
        Cost::new(self.planes * self.area, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (planes, factors) = (args.input(0), args.input(1));
        let products = args.output().par_iter_mut().enumerate();
        let products = products.with_min_len(min_task_len(ELEMENT));
        products.for_each(|(index, product)| {
            let factor = factors[index / self.area];
            *product = (f64::from(planes[index]) * f64::from(factor)) as f32;
        });
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let mut product = Sum::default();
        product.add_product(args.float(0, index), args.float(1, index / self.area));
        product.within(&ErrorBound::Products { terms: 1 })
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Products { terms: 1 }]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let (planes, area) = (random.size(30), random.size(40));
    let of_planes = Multiply { planes, area };
    let elementwise = Multiply::elementwise(random.size(300));
    let scaled = [Read::OutputGradient, Read::Input(1)];
    // With larger planes, it is their sum.
    let by_factors = [Read::OutputGradient, Read::Input(0)];
    vec![
        Case::of_floats(of_planes.clone(), random).with_gradient(0, of_planes, &scaled),
        Case::of_floats(elementwise.clone(), random)
            .with_gradient(0, elementwise.clone(), &scaled)
            .with_gradient(1, elementwise, &by_factors),
    ]
}
