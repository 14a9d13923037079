import TensorCore

/// Bicubic resizing of `[batch, height, width, channels]` without antialiasing, as PyTorch's
/// `interpolate` does it (a = -0.75, half-pixel centres).
public func resizedBicubic(_ x: Tensor, height: Int, width: Int) -> Tensor {
  resampled(resampled(x, axis: 1, to: height), axis: 2, to: width)
}

private func resampled(_ x: Tensor, axis: Int, to newLength: Int) -> Tensor {
  let length = x.shape[axis]
  guard newLength != length else { return x }
  let taps = CubicTaps(from: length, to: newLength)
  let rows = x.shape[..<axis].reduce(1, *)
  let width = x.shape[(axis + 1)...].reduce(1, *)
  var shape = x.shape
  shape[axis] = newLength
  let result = Tensor(uninitialized: shape)
  resample(x.pointer, length: length, into: result.pointer, rows: rows, width: width, taps)
  guard isRecording(x) else { return result }
  let inputShape = x.shape
  return result.recorded(from: [x]) { gradient in
    let inputGradient = Tensor(uninitialized: inputShape)
    resampleGradient(
      gradient.pointer, length: length, into: inputGradient.pointer, rows: rows, width: width,
      taps)
    return [inputGradient]
  }
}
