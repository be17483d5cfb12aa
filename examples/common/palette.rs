//! Colours of charts.

use plotters::style::Palette;

/// Eight colours that people with any kind of colour vision tell apart: Okabe and Ito, "Color
/// Universal Design", 2008.
#[derive(Debug, Clone, Copy)]
pub struct OkabeIto;

impl Palette for OkabeIto {
    const COLORS: &'static [(u8, u8, u8)] = &[
        (0, 114, 178),
        (213, 94, 0),
        (0, 158, 115),
        (204, 121, 167),
        (86, 180, 233),
        (230, 159, 0),
        (0, 0, 0),
        (240, 228, 66),
    ];
}
