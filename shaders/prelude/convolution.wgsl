// The sizes and bindings of a convolution and its gradients.

override BATCH: u32; // N
override C: u32;
override O: u32;
override BIAS: bool; // a bias is added
override RELU: bool; // ReLU follows
override PARTS: u32; // runs of output pixels, each with its own partial gradient of the weight

@group(0) @binding(0) var<storage, read> input: array<f32>; // (N, C, H, W)
@group(0) @binding(1) var<storage, read> weight: array<f32>; // (O, C, KH, KW)
@group(0) @binding(2) var<storage, read> bias: array<f32>; // (O), if there is one
@group(0) @binding(3) var<storage, read_write> output: array<f32>; // (N, O, OH, OW)

@group(0) @binding(0) var<storage, read> kernels: array<f32>; // (O, C, KH, KW)
@group(0) @binding(1) var<storage, read> d_output: array<f32>; // (N, O, OH, OW)
@group(0) @binding(2) var<storage, read_write> d_input: array<f32>; // (N, C, H, W)

@group(0) @binding(2) var<storage, read_write> d_weight: array<f32>; // (PARTS, O, C, KH, KW)
@group(0) @binding(3) var<storage, read_write> d_bias: array<f32>; // (PARTS, O)
