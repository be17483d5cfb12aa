// The planes of a convolution or a pool, and the sliding window.

override H: u32;
override W: u32;
override OH: u32;
override OW: u32;
override KH: u32;
override KW: u32;
override STRIDE_H: u32;
override STRIDE_W: u32;
override PAD_H: u32;
override PAD_W: u32;
override DILATION_H: u32; // 1 for pools
override DILATION_W: u32;
