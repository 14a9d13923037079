import Backends
import TensorCore

/// Bicubic resizing of `[batch, height, width, channels]` without antialiasing, as PyTorch's
/// `interpolate` does it (a = -0.75, half-pixel centres).
public func resizedBicubic(_ x: Tensor, height: Int, width: Int) -> Tensor {
  resampled(resampled(x, axis: 1, to: height), axis: 2, to: width)
}

private func resampled(_ x: Tensor, axis: Int, to newLength: Int) -> Tensor {
  let length = x.shape[axis]
  guard newLength != length else { return x }
  let how = Resampling(
    length: length, rows: x.shape[..<axis].reduce(1, *),
    width: x.shape[(axis + 1)...].reduce(1, *), taps: CubicTaps(from: length, to: newLength))
  var shape = x.shape
  shape[axis] = newLength
  let backend = x.backend
  let result = Tensor(uninitialized: shape, like: x)
  backend.perform(.resample(x.operand, into: result.operand, how))
  guard isRecording(x) else { return result }
  let inputShape = x.shape
  return result.recorded(from: [x]) { gradient in
    let inputGradient = Tensor(uninitialized: inputShape, like: gradient)
    backend.perform(.resampleGradient(gradient.operand, into: inputGradient.operand, how))
    return [inputGradient]
  }
}
