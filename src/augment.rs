//! Random changes of the images that a model is trained on.

use std::fmt;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution};

use crate::error::{Error, Result};
use crate::ops::Changes;
use crate::shape::{Shape, Size2d};

/// Extents up to which the kernel's integers suffice.
const LARGEST: usize = 2048;

/// Random changes of training images, drawn anew for every image and step from the run's seed, and
/// computed on the device in integers: every adapter and the CPU reference get the same bits.
/// Evaluation takes images as they are.
///
/// ```
/// use wgrad::Augmentation;
/// let augmentation = Augmentation::new().crop(4).flip().cutout(8);
/// assert_eq!(augmentation.to_string(), "shift 4×4, flip, cutout 8");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Augmentation {
    shift: Size2d,
    flip: bool,
    rotation: f64,
    scale: [f64; 2],
    contrast: f64,
    brightness: f64,
    cutout: usize,
    fill: u8,
    mixup: f64,
}

impl Default for Augmentation {
    fn default() -> Self {
        Augmentation::new()
    }
}

impl Augmentation {
    /// No change.
    pub fn new() -> Self {
        Augmentation {
            shift: 0.into(),
            flip: false,
            rotation: 0.0,
            scale: [1.0; 2],
            contrast: 0.0,
            brightness: 0.0,
            cutout: 0,
            fill: 0,
            mixup: 0.0,
        }
    }

    /// Moves an image by whole pixels, at most `most` to each side: one number, or (height, width).
    #[must_use]
    pub fn shift(self, most: impl Into<Size2d>) -> Self {
        let shift = most.into();
        Augmentation { shift, ..self }
    }

    /// Pads an image by `padding` pixels and crops it at random to its own size, as PyTorch's
    /// `RandomCrop`: a shift by at most that many pixels.
    #[must_use]
    pub fn crop(self, padding: usize) -> Self {
        self.shift(padding)
    }

    /// Flips half of the images, left to right.
    #[must_use]
    pub fn flip(self) -> Self {
        Augmentation { flip: true, ..self }
    }

    /// Rotates an image about its centre, by at most `degrees` in either direction.
    #[must_use]
    pub fn rotation(self, degrees: f64) -> Self {
        let rotation = degrees;
        Augmentation { rotation, ..self }
    }

    /// Scales an image about its centre by a factor from `least` to `most`, whose inverse is drawn
    /// uniformly.
    #[must_use]
    pub fn scale(self, least: f64, most: f64) -> Self {
        let scale = [least, most];
        Augmentation { scale, ..self }
    }

    /// Multiplies distances from middle grey by 1 − `most` to 1 + `most`.
    #[must_use]
    pub fn contrast(self, most: f64) -> Self {
        let contrast = most;
        Augmentation { contrast, ..self }
    }

    /// Adds at most ±`most`, where 1 is the distance from black to white.
    #[must_use]
    pub fn brightness(self, most: f64) -> Self {
        let brightness = most;
        Augmentation { brightness, ..self }
    }

    /// Cuts out a square of that extent, whose centre is anywhere in the image (DeVries and Taylor,
    /// 2017, arXiv:1708.04552).
    #[must_use]
    pub fn cutout(self, extent: usize) -> Self {
        let cutout = extent;
        Augmentation { cutout, ..self }
    }

    /// The level outside of a moved image and in a square that is cut out; 0, black, by default.
    #[must_use]
    pub fn fill(self, level: u8) -> Self {
        let fill = level;
        Augmentation { fill, ..self }
    }

    /// Mixes each image, and its class, with the next one of the batch, in a share drawn for each
    /// step from the beta distribution with both parameters `alpha` (Zhang et al., 2018,
    /// arXiv:1710.09412).
    #[must_use]
    pub fn mixup(self, alpha: f64) -> Self {
        let mixup = alpha;
        Augmentation { mixup, ..self }
    }

    /// The share of an image, in 256ths, where step `number` of a run mixes it with another; 256 if it
    /// does not.
    pub(crate) fn mix(&self, seed: u64, number: u64) -> u32 {
        let Some(Ok(beta)) = self.mixing().map(|alpha| Beta::new(alpha, alpha)) else {
            return 256;
        };
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        // Parameters use streams from 0 up, orders of samples from the other end down.
        generator.set_stream((1 << 63) | number);
        let share: f64 = beta.sample(&mut generator);
        (share * 256.0).round() as u32
    }

    /// The parameter of mixup; `None` without.
    pub(crate) fn mixing(&self) -> Option<f64> {
        (self.mixup > 0.0).then_some(self.mixup)
    }

    /// The changes in the kernel's units, for images of `sample`.
    ///
    /// # Errors
    /// An option is out of range, or samples are not images (C, H, W) of at most 2,048×2,048.
    pub(crate) fn changes(&self, sample: &Shape) -> Result<Changes> {
        let &[_, height, width] = sample.dims() else {
            let expected = "images (C, H, W)";
            return Err(Error::value("augmentation", expected, sample.to_string()));
        };
        let plane = Size2d { height, width };
        if height.max(width) > LARGEST {
            let expected = format!("images of at most {LARGEST}×{LARGEST}");
            return Err(Error::value("augmentation", expected, plane));
        }
        let within = |what: &str, value: f64, least: f64, most: f64| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            let what = format!("augmentation's {what}");
            Err(Error::value(what, format!("{least} to {most}"), value))
        };
        within("rotation", self.rotation, 0.0, 180.0)?;
        within("scale", self.scale[0], 0.25, 4.0)?;
        within("largest scale", self.scale[1], self.scale[0], 4.0)?;
        within("contrast", self.contrast, 0.0, 1.0)?;
        within("brightness", self.brightness, 0.0, 1.0)?;
        within("mixup", self.mixup, 0.0, 100.0)?;
        let sizes = [
            ("shift", self.shift.height, height),
            ("shift", self.shift.width, width),
            ("cutout", self.cutout, 2 * height.max(width)),
        ];
        for (what, value, most) in sizes {
            within(what, value as f64, 0.0, most as f64)?;
        }
        let units = |value: f64, unit: f64| (value * unit).round() as u32;
        Ok(Changes {
            flip: self.flip,
            shift: self.shift,
            rotation: units(self.rotation, 65536.0 / 360.0),
            zoom: [
                units(1.0 / self.scale[1], 4096.0),
                units(1.0 / self.scale[0], 4096.0),
            ],
            contrast: [
                units(1.0 - self.contrast, 1024.0),
                units(1.0 + self.contrast, 1024.0),
            ],
            brightness: units(self.brightness, 255.0 * 64.0),
            cutout: self.cutout as u32,
            fill: self.fill.into(),
        })
    }
}

impl fmt::Display for Augmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Augmentation {
            shift,
            flip,
            rotation,
            scale: [least, most],
            contrast,
            brightness,
            cutout,
            fill,
            mixup,
        } = *self;
        let parts = [
            (shift != 0.into(), format!("shift {shift}")),
            (flip, "flip".to_owned()),
            (rotation > 0.0, format!("rotation {rotation}")),
            (
                [least, most] != [1.0; 2],
                format!("scale {least} to {most}"),
            ),
            (contrast > 0.0, format!("contrast {contrast}")),
            (brightness > 0.0, format!("brightness {brightness}")),
            (cutout > 0, format!("cutout {cutout}")),
            (fill > 0, format!("fill {fill}")),
            (mixup > 0.0, format!("mixup {mixup}")),
        ];
        let parts = parts
            .into_iter()
            .filter_map(|(is_set, text)| is_set.then_some(text));
        let parts: Vec<String> = parts.collect();
        f.write_str(if parts.is_empty() { "none" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}
