import Backends

extension Tensor {
  /// The same elements in the same order under another shape; memory is shared.
  public func reshaped(to newShape: [Int]) -> Tensor {
    precondition(newShape.reduce(1, *) == count, "cannot reshape \(shape) to \(newShape)")
    let result = Tensor(shape: newShape, storage: storage, offset: offset)
    guard isRecording(self) else { return result }
    let shape = shape
    return result.recorded(from: [self]) { [$0.reshaped(to: shape)] }
  }

  /// The part `range` of an axis.
  ///
  /// Parts of the first axis share memory.
  public func slice(axis: Int, _ range: Range<Int>) -> Tensor {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= shape[axis],
      "no \(range) in axis \(axis) of \(shape)")
    var newShape = shape
    newShape[axis] = range.count
    let inner = shape[(axis + 1)...].reduce(1, *)
    let outer = shape[..<axis].reduce(1, *)
    let stride = shape[axis] * inner
    let start = range.lowerBound * inner
    let width = range.count * inner
    let result: Tensor
    if outer == 1 {
      result = Tensor(shape: newShape, storage: storage, offset: offset + start)
    } else {
      result = Tensor(uninitialized: newShape, like: self)
      backend.perform(
        .copyRows(
          operand + start, stride: stride, into: result.operand, intoStride: width, rows: outer,
          width: width))
    }
    guard isRecording(self) else { return result }
    let shape = shape
    return result.recorded(from: [self]) { gradient in
      let inputGradient = Tensor(zeros: shape, format: gradient.format, on: gradient.backend)
      gradient.backend.perform(
        .copyRows(
          gradient.operand, stride: width, into: inputGradient.operand + start,
          intoStride: stride, rows: outer, width: width))
      return [inputGradient]
    }
  }

  /// Equal parts of an axis.
  public func split(axis: Int, into parts: Int) -> [Tensor] {
    let width = shape[axis] / parts
    return (0..<parts).map { slice(axis: axis, $0 * width..<($0 + 1) * width) }
  }

  /// Rows of the first axis at `indices`, in that order; a row may be taken more than once.
  ///
  /// An embedding lookup: `[rows, ...]` to `[indices.count, ...]`.
  public func rows(at indices: [Int]) -> Tensor {
    let result = gathered(operand, shape: shape, at: indices)
    guard isRecording(self) else { return result }
    let (shape, format) = (shape, format)
    return result.recorded(from: [self]) { gradient in
      let inputGradient = Tensor(zeros: shape, format: format, on: gradient.backend)
      gradient.backend.perform(
        .scatterRows(
          gradient.operand, at: indices, to: inputGradient.operand,
          width: shape.dropFirst().reduce(1, *)))
      return [inputGradient]
    }
  }

  /// The tensor `times` times over along a new first axis merged with the present one.
  public func repeated(_ times: Int) -> Tensor {
    times == 1 ? self : concatenated([Tensor](repeating: self, count: times), axis: 0)
  }

  /// The first two axes exchanged: `[a, b, ...]` to `[b, a, ...]`.
  public func transposed() -> Tensor {
    let (rows, columns) = (shape[0], shape[1])
    let result = Tensor(uninitialized: [columns, rows] + shape.dropFirst(2), like: self)
    backend.perform(
      .transpose(
        operand, into: result.operand, batch: 1, rows: rows, columns: columns,
        width: shape.dropFirst(2).reduce(1, *)))
    guard isRecording(self) else { return result }
    return result.recorded(from: [self]) { [$0.transposed()] }
  }
}

/// Rows of an array of that shape, in any format, as activations, as `Tensor.rows(at:)` takes them.
func gathered(_ source: Operand, shape: [Int], at indices: [Int]) -> Tensor {
  for index in indices {
    precondition(index >= 0 && index < shape[0], "no row \(index) in \(shape)")
  }
  let backend = source.storage.backend
  let result = Tensor(
    uninitialized: [indices.count] + shape.dropFirst(), format: ActivationFormat.current,
    on: backend)
  backend.perform(
    .gatherRows(
      source, at: indices, into: result.operand, width: shape.dropFirst().reduce(1, *)))
  return result
}

/// The tensors one after another along an axis; the other extents must agree.
public func concatenated(_ parts: [Tensor], axis: Int) -> Tensor {
  precondition(!parts.isEmpty, "nothing to concatenate")
  var shape = parts[0].shape
  let outer = shape[..<axis].reduce(1, *)
  let inner = shape[(axis + 1)...].reduce(1, *)
  let widths = parts.map { $0.shape[axis] * inner }
  shape[axis] = parts.reduce(0) { $0 + $1.shape[axis] }
  let stride = shape[axis] * inner
  // Beside activations, numbers of single precision become such.
  let format = parts.lazy.map(\.format).first { $0 != .single } ?? .single
  let result = Tensor(uninitialized: shape, format: format, on: parts[0].backend)
  var start = 0
  for (part, width) in zip(parts, widths) {
    precondition(
      part.count == outer * width, "cannot concatenate \(parts.map(\.shape)) along \(axis)")
    result.backend.perform(
      .copyRows(
        part.operand, stride: width, into: result.operand + start, intoStride: stride, rows: outer,
        width: width))
    start += width
  }
  guard isRecording(parts) else { return result }
  let needs = parts.map(\.requiresGradient)
  let extents = parts.map { $0.shape[axis] }
  let formats = parts.map(\.format)
  return result.recorded(from: parts) { gradient in
    var start = 0
    return needs.indices.map { part in
      let range = start..<start + extents[part]
      start = range.upperBound
      return needs[part]
        ? gradient.slice(axis: axis, range).converted(to: formats[part]) : nil
    }
  }
}

/// Nearest-neighbour upsampling of `[batch, height, width, channels]` by two in height and width.
public func upsampledNearest2x(_ x: Tensor) -> Tensor {
  let shape = ImageShape(
    batch: x.shape[0], height: x.shape[1], width: x.shape[2], channels: x.shape[3])
  let result = Tensor(
    uninitialized: [shape.batch, 2 * shape.height, 2 * shape.width, shape.channels],
    like: x)
  x.backend.perform(.upsampleNearest(x.operand, into: result.operand, shape))
  guard isRecording(x) else { return result }
  return result.recorded(from: [x]) { [upsamplingGradient($0)] }
}

/// The gradient of ``upsampledNearest2x(_:)``.
func upsamplingGradient(_ gradient: Tensor) -> Tensor {
  let large = gradient.shape
  let shape = ImageShape(
    batch: large[0], height: large[1] / 2, width: large[2] / 2, channels: large[3])
  let result = Tensor(
    uninitialized: [shape.batch, shape.height, shape.width, shape.channels],
    like: gradient)
  gradient.backend.perform(
    .upsampleNearestGradient(gradient.operand, into: result.operand, shape))
  return result
}

extension Tensor {
  /// Images in the layout of checkpoints, `[batch, channels, height, width]`, in that of the program,
  /// `[batch, height, width, channels]`; cut off from the graph.
  public func channelsLast() -> Tensor {
    eachTransposed(rows: shape[1], columns: shape[2] * shape[3])
      .reshaped(to: [shape[0], shape[2], shape[3], shape[1]])
  }

  /// The inverse of `channelsLast`.
  public func channelsFirst() -> Tensor {
    eachTransposed(rows: shape[1] * shape[2], columns: shape[3])
      .reshaped(to: [shape[0], shape[3], shape[1], shape[2]])
  }

  /// Every matrix `[rows, columns]` of the first axis transposed.
  private func eachTransposed(rows: Int, columns: Int) -> Tensor {
    let result = Tensor(uninitialized: [shape[0], columns, rows], like: self)
    backend.perform(
      .transpose(
        operand, into: result.operand, batch: shape[0], rows: rows, columns: columns, width: 1))
    return result
  }
}
