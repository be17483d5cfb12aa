// Shared by the pools.

// Index of a window whose maximum ReLU zeroed: it receives no gradient.
const NO_PIXEL: u32 = 0xffffffffu;
