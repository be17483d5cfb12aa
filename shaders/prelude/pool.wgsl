// What the pools share.

// The index of a window that ReLU passed nothing of: no pixel, so no gradient goes there.
const NO_PIXEL: u32 = 0xffffffffu;
