//! Gathers the images of a batch, each changed at random.

use rayon::prelude::*;

use super::case::{Case, Random};
use super::reference::arithmetic::{ELEMENT, min_task_len};
use super::reference::draws::{around_zero, below, between, sine_and_cosine};
use super::reference::philox::{ROUNDS, philox};
use super::{
    Args, Binding, Bindings, Content, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude,
    Shader, Step, flag, nested_loops,
};
use crate::shape::Size2d;

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation, Prelude::Step, Prelude::Philox],
    include_str!("../../shaders/augment.wgsl"),
);

/// The levels 0 to 255 times 2¹⁶, as floats from 0 to 1: for whole levels the same as
/// [`Gather`](super::Gather).
const SCALE: f32 = 1.0 / 255.0 / 65536.0;

/// Contrast that changes nothing.
const FULL_CONTRAST: u32 = 1 << 10;

/// Distance between source pixels that changes nothing.
const WHOLE: u32 = 1 << 12;

/// The ranges from which the changes of an image are drawn, in the units of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changes {
    /// Whether half of the images are flipped, left to right.
    pub flip: bool,
    /// The most pixels that an image moves.
    pub shift: Size2d,
    /// The largest rotation, in 2⁻¹⁶ of a turn.
    pub rotation: u32,
    /// The least and the most distance between source pixels, in 2⁻¹².
    pub zoom: [u32; 2],
    /// The least and the most contrast, in 2⁻¹⁰.
    pub contrast: [u32; 2],
    /// The largest change of brightness, in 2⁻⁶ of a level.
    pub brightness: u32,
    /// The extent of the square that is cut out.
    pub cutout: u32,
    /// The level, 0 to 255, outside of an image and in the square.
    pub fill: u32,
}

impl Changes {
    /// No change at all.
    pub const NONE: Changes = Changes {
        flip: false,
        shift: Size2d {
            height: 0,
            width: 0,
        },
        rotation: 0,
        zoom: [WHOLE; 2],
        contrast: [FULL_CONTRAST; 2],
        brightness: 0,
        cutout: 0,
        fill: 0,
    };
}

/// `batch[n]` = image `order[step.offset + n]`, as in [`Gather`](super::Gather), changed if the step
/// augments; and mixed with the next row's if `step.mix` is below 256. A pixel's source is found by
/// turning and scaling its distance from the centre, and moving the result; its level is
/// interpolated between four pixels. All in integers: sine and cosine by their Taylor polynomials.
/// Random words are those of Philox4x32-10 with the run's seed as key and the counter (row, 2³² − 1 −
/// i, step number, epoch), for i = 0, 1, 2.
#[derive(Debug, Clone)]
pub struct Augment {
    /// N.
    pub rows: usize,
    /// C.
    pub channels: usize,
    /// H×W, at most 2,048 each.
    pub plane: Size2d,
    /// Samples of the data set, and length of `order`.
    pub samples: usize,
    /// What is drawn.
    pub changes: Changes,
}

/// How a pixel is changed.
#[derive(Debug, Clone, Copy)]
struct Change {
    /// x and y of its source, in 2⁻¹⁶ of a pixel.
    origin: [i32; 2],
    is_cut: bool,
    contrast: i32,
    brightness: i32,
}

/// What a row draws for all of its pixels.
struct Drawn {
    flips: bool,
    /// Sine and cosine of the rotation, times the inverse of the scale, times 2¹⁵.
    turned: [i32; 2],
    /// The shift to the right and down, times 2¹⁶.
    moved: [i32; 2],
    /// The first column and row of the square that is cut out.
    cut: [i32; 2],
    contrast: i32,
    brightness: i32,
}

/// A sample of the data set, and what the row that shows it draws, if images are changed.
struct Shown {
    sample: usize,
    drawn: Option<Drawn>,
}

impl Augment {
    fn area(&self) -> usize {
        self.plane.height * self.plane.width
    }

    fn len(&self) -> usize {
        self.channels * self.area()
    }

    /// What a row draws.
    fn drawn(&self, step: &Step, row: usize) -> Option<Drawn> {
        if step.augments == 0 {
            return None;
        }
        let words = |stream: u32| {
            let counter = [row as u32, u32::MAX - stream, step.number, step.epoch];
            philox(step.seed, counter)
        };
        let (place, form, light) = (words(0), words(1), words(2));
        let Changes { shift, .. } = self.changes;
        let zoom = between(form[0], self.changes.zoom);
        let turned = sine_and_cosine(around_zero(place[3], self.changes.rotation));
        let moved = |most: usize, word: u32| around_zero(word, most as u32) << 16;
        let half = self.changes.cutout as i32 / 2;
        let square = |word: u32, extent: usize| below(word, extent as u32) as i32 - half;
        Some(Drawn {
            flips: self.changes.flip && place[0] >> 31 == 1,
            turned: turned.map(|part| (part * zoom) >> 12),
            moved: [moved(shift.width, place[2]), moved(shift.height, place[1])],
            cut: [
                square(form[2], self.plane.width),
                square(form[1], self.plane.height),
            ],
            contrast: between(light[0], self.changes.contrast),
            brightness: around_zero(light[1], self.changes.brightness),
        })
    }

    /// The change of a pixel.
    fn change(&self, drawn: Option<&Drawn>, [x, y]: [i32; 2]) -> Change {
        let Some(drawn) = drawn else {
            return Change {
                origin: [x << 16, y << 16],
                is_cut: false,
                contrast: FULL_CONTRAST as i32,
                brightness: 0,
            };
        };
        let (w, h) = (self.plane.width as i32, self.plane.height as i32);
        let (mut u, v) = (2 * x - (w - 1), 2 * y - (h - 1));
        if drawn.flips {
            u = -u;
        }
        let ([sine, cosine], moved) = (drawn.turned, drawn.moved);
        let cutout = 0..self.changes.cutout as i32;
        Change {
            origin: [
                cosine * u + sine * v + ((w - 1) << 15) - moved[0],
                cosine * v - sine * u + ((h - 1) << 15) - moved[1],
            ],
            is_cut: cutout.contains(&(x - drawn.cut[0])) && cutout.contains(&(y - drawn.cut[1])),
            contrast: drawn.contrast,
            brightness: drawn.brightness,
        }
    }

    /// A pixel after the change, its level times 2¹⁶, from the levels of its plane.
    fn changed(&self, change: Change, level: impl Fn(usize) -> u8) -> u32 {
        let fill = self.changes.fill;
        if change.is_cut {
            return fill << 16;
        }
        let (w, h) = (self.plane.width as i32, self.plane.height as i32);
        let at = |x: i32, y: i32| match (0..w).contains(&x) && (0..h).contains(&y) {
            true => u32::from(level((y * w + x) as usize)),
            false => fill,
        };
        let [x, y] = change.origin.map(|at| at >> 16);
        let [right, down] = change.origin.map(|at| (at as u32 & 0xffff) >> 8);
        let (left, up) = (256 - right, 256 - down);
        let value = at(x, y) * left * up
            + at(x + 1, y) * right * up
            + at(x, y + 1) * left * down
            + at(x + 1, y + 1) * right * down;
        if change.contrast == FULL_CONTRAST as i32 && change.brightness == 0 {
            return value;
        }
        let grey = 127 * 256 + 128;
        let lit = (((((value + 128) >> 8) as i32 - grey) * change.contrast) >> 10) + grey;
        ((lit + change.brightness * 4).clamp(0, 255 * 256) as u32) << 8
    }

    /// What a row shows, and what the row shows that it is mixed with.
    fn shown(&self, step: &Step, row: usize, sample: impl Fn(usize) -> usize) -> [Shown; 2] {
        [row, (row + 1) % step.rows as usize].map(|row| Shown {
            sample: sample(row),
            drawn: self.drawn(step, row),
        })
    }

    /// A pixel of a row of the batch; `byte` reads the data set.
    fn pixel(
        &self,
        step: &Step,
        [own, other]: &[Shown; 2],
        at: usize,
        byte: impl Fn(usize) -> u8,
    ) -> f32 {
        let (channel, pixel) = (at / self.area(), at % self.area());
        let place = [pixel % self.plane.width, pixel / self.plane.width].map(|at| at as i32);
        let of = |shown: &Shown| {
            let first = (shown.sample * self.channels + channel) * self.area();
            let change = self.change(shown.drawn.as_ref(), place);
            self.changed(change, |pixel| byte(first + pixel))
        };
        let mut value = of(own);
        if step.mix < 256 {
            value = (value * step.mix + of(other) * (256 - step.mix) + 128) >> 8;
        }
        value as f32 * SCALE
    }
}

impl Op for Augment {
    fn name(&self) -> &'static str {
        "augment"
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("images", (self.samples * self.len()).div_ceil(4)).of(Content::Pixels),
            Binding::read("order", self.samples).of(Content::below(self.samples)),
            Binding::write("batch", self.rows * self.len()),
        ])
    }

    fn launch(&self) -> Launch {
        let changes = &self.changes;
        let [zoom, contrast] = [changes.zoom, changes.contrast];
        let constants = [
            ("ROWS", self.rows),
            ("C", self.channels),
            ("H", self.plane.height),
            ("W", self.plane.width),
            ("SHIFT_H", changes.shift.height),
            ("SHIFT_W", changes.shift.width),
            ("ROTATION", changes.rotation as usize),
            ("ZOOM_LEAST", zoom[0] as usize),
            ("ZOOM_SPAN", (zoom[1] - zoom[0]) as usize),
            ("CONTRAST_LEAST", contrast[0] as usize),
            ("CONTRAST_SPAN", (contrast[1] - contrast[0]) as usize),
            ("BRIGHTNESS", changes.brightness as usize),
            ("CUTOUT", changes.cutout as usize),
            ("FILL", changes.fill as usize),
        ];
        Launch::new(SHADER, self.rows * self.area())
            .constants(constants.map(|(name, value)| (name, value as f64)))
            .constants([("FLIP", flag(changes.flip))])
            .longest_loop(6 * nested_loops(&[ROUNDS]) + nested_loops(&[self.channels]))
    }

    fn rows(&self) -> usize {
        self.rows.min(self.samples)
    }

    /// A batch reads and writes only its own rows.
    fn cost(&self) -> Cost {
        let pixels = (self.rows * self.len()) as u64;
        Cost {
            flop: 20 * pixels,
            bytes: 8 * pixels,
        }
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (order, step) = (args.inputs[1], args.step);
        let bytes: &[u8] = bytemuck::cast_slice(args.inputs[0]);
        let sample = |row: usize| order[step.offset as usize + row] as usize;
        let rows = args.output().par_chunks_mut(self.len()).enumerate();
        let rows = rows.with_min_len(min_task_len(64 * ELEMENT * self.len()));
        rows.for_each(|(row, pixels)| {
            if row >= step.rows as usize {
                return pixels.fill(0.0);
            }
            let shown = self.shown(step, row, sample);
            for (at, pixel) in pixels.iter_mut().enumerate() {
                *pixel = self.pixel(step, &shown, at, |at| bytes[at]);
            }
        });
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let (row, at) = (index / self.len(), index % self.len());
        if row >= args.step.rows as usize {
            return Element::Word(0);
        }
        let sample = |row: usize| args.word(1, args.step.offset as usize + row) as usize;
        let shown = self.shown(args.step, row, sample);
        let pixel = self.pixel(args.step, &shown, at, |at| args.byte(0, at));
        Element::Word(pixel.to_bits())
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Exact]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let all = Changes {
        flip: true,
        shift: Size2d::from((2, 3)),
        rotation: 1 << 15,
        zoom: [WHOLE / 2, 2 * WHOLE],
        contrast: [FULL_CONTRAST / 2, 2 * FULL_CONTRAST],
        brightness: 100 << 6,
        cutout: 3,
        fill: 77,
    };
    let moved = Changes {
        flip: true,
        shift: Size2d::from((2, 3)),
        ..Changes::NONE
    };
    let mix = random.below(256) as u32;
    let case = |(changes, augments, mix)| {
        let (rows, channels) = (random.size(5), random.size(3));
        let plane = Size2d::from((random.size(9), random.size(11)));
        let samples = rows + random.below(9);
        let op = Augment {
            rows,
            channels,
            plane,
            samples,
            changes,
        };
        let words = op.bindings().inputs[0].words;
        let images = (0..words).map(|_| random.word()).collect();
        let inputs = vec![images, random.permutation(samples)];
        let mut step = random.step(rows, 1);
        step.offset = random.below(samples - step.rows as usize + 1) as u32;
        let number = random.below(1000) as u32;
        let seed = u64::from(random.word()) << 32 | u64::from(random.word());
        let mut step = step.at(random.below(90) as u32, number).seed(seed);
        if augments {
            step = step.augmenting(mix);
        }
        Case::of(op, inputs, random).in_step(step)
    };
    [
        (all, true, 256),
        (all, true, mix),
        (moved, true, 256),
        (all, false, 256),
    ]
    .map(case)
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sine_and_cosine_are_right_to_a_few_units() {
        for angle in -40_000..=40_000 {
            let exact = f64::from(angle) * std::f64::consts::TAU / 65536.0;
            let [sine, cosine] = sine_and_cosine(angle).map(|part| f64::from(part) / 32768.0);
            assert!((sine - exact.sin()).abs() < 2e-4, "{angle}: {sine}");
            assert!((cosine - exact.cos()).abs() < 2e-4, "{angle}: {cosine}");
        }
    }
}
