import Autograd
import NN

/// Two convolutions inside a residual connection, conditioned on the timestep in between.
///
///     h = conv1(silu(norm1(x))) + time_emb_proj(time)
///     y = shortcut(x) + conv2(silu(norm2(h)))
///
/// - Input: `[batch, height, width, inputs]`, time `[batch, timeWidth]` after SiLU
/// - Output: `[batch, height, width, outputs]`
/// - Keys: `norm1`, `conv1`, `time_emb_proj`, `norm2`, `conv2`, and `conv_shortcut` if widths
///   differ
/// - Source: diffusers' `ResnetBlock2D`
struct ResnetBlock {
  let norm1: GroupNorm
  let conv1: Conv2d
  let timeProjection: Linear?
  let norm2: GroupNorm
  let conv2: Conv2d
  let shortcut: Conv2d?

  init(
    _ weights: Weights, inputs: Int, outputs: Int, timeWidth: Int?, groups: Int, epsilon: Float
  ) throws {
    norm1 = try GroupNorm(weights["norm1"], channels: inputs, groups: groups, epsilon: epsilon)
    conv1 = try Conv2d(weights["conv1"], inputs: inputs, outputs: outputs, kernel: 3)
    timeProjection = try timeWidth.map {
      try Linear(weights["time_emb_proj"], inputs: $0, outputs: outputs)
    }
    norm2 = try GroupNorm(weights["norm2"], channels: outputs, groups: groups, epsilon: epsilon)
    conv2 = try Conv2d(weights["conv2"], inputs: outputs, outputs: outputs, kernel: 3)
    shortcut =
      inputs == outputs
      ? nil : try Conv2d(weights["conv_shortcut"], inputs: inputs, outputs: outputs, kernel: 1)
  }

  func callAsFunction(_ x: Tensor, time: Tensor? = nil) -> Tensor {
    var h = conv1(norm1(x, appliesSiLU: true))
    if let time, let timeProjection {
      let shift = timeProjection(time)  // [batch, outputs]
      h = h + shift.reshaped(to: [shift.shape[0], 1, 1, shift.shape[1]])
    }
    h = conv2(norm2(h, appliesSiLU: true))
    return (shortcut?(x) ?? x) + h
  }
}

/// Halves height and width by a convolution with stride 2.
///
/// - Keys: `conv`
struct Downsampler {
  let conv: Conv2d

  /// - Parameter padding: 1 on all sides in U-Nets; one row and column at the end in autoencoders
  init(_ weights: Weights, channels: Int, padding: Conv2d.Padding) throws {
    conv = try Conv2d(
      weights["conv"], inputs: channels, outputs: channels, kernel: 3, stride: 2,
      padding: padding)
  }

  func callAsFunction(_ x: Tensor) -> Tensor { conv(x) }
}

/// Upsamples 2x by nearest neighbours, then convolves.
///
/// - Keys: `conv`
struct Upsampler {
  let conv: Conv2d

  init(_ weights: Weights, channels: Int) throws {
    conv = try Conv2d(weights["conv"], inputs: channels, outputs: channels, kernel: 3)
  }

  /// - Parameter size: the height and width of the result, each twice the input's, 1 less or 1
  ///   more, to restore odd extents from before downsampling
  func callAsFunction(_ x: Tensor, size: (height: Int, width: Int)? = nil) -> Tensor {
    let (height, width) = size ?? (2 * x.shape[1], 2 * x.shape[2])
    if height == 2 * x.shape[1], width == 2 * x.shape[2] { return conv(x, upsamples: true) }
    let doubled = upsampledNearest2x(x)
    return conv(Self.resized(Self.resized(doubled, axis: 1, to: height), axis: 2, to: width))
  }

  /// Returns what the nearest neighbours give for an extent that differs by 1 from twice the input's.
  ///
  /// `floor(i n / (2 n - 1))` repeats all but the last of `n` once, `floor(i n / (2 n + 1))` the first
  /// twice.
  private static func resized(_ doubled: Tensor, axis: Int, to extent: Int) -> Tensor {
    guard extent > doubled.shape[axis] else { return doubled.slice(axis: axis, 0..<extent) }
    return concatenated([doubled.slice(axis: axis, 0..<1), doubled], axis: axis)
  }
}
