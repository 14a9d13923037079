import HostResources

/// The repetition of a smaller operand over a larger one: the larger is `[outer, repeats, inner]`,
/// the smaller `[outer, inner]`.
public struct Broadcast: Equatable, Sendable {
  public let outer: Int
  public let repeats: Int
  public let inner: Int

  public init(outer: Int, repeats: Int, inner: Int) {
    self.outer = outer
    self.repeats = repeats
    self.inner = inner
  }

  public var count: Int { outer * repeats * inner }
}

/// The binary operations that exist with and without broadcasting.
public enum BinaryOperation: Sendable {
  case add
  case subtract
  case multiply
}

/// `output = a OP b`, with `b` repeated according to `broadcast`.
public func combine(
  _ operation: BinaryOperation, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>,
  into output: UnsafeMutablePointer<Float>, _ broadcast: Broadcast
) {
  switch operation {
  case .add: combine(a, b, into: output, broadcast) { $0 + $1 }
  case .subtract: combine(a, b, into: output, broadcast) { $0 - $1 }
  case .multiply: combine(a, b, into: output, broadcast) { $0 * $1 }
  }
}

@inline(__always)
private func combine(
  _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>,
  _ broadcast: Broadcast, _ operation: (Vector, Vector) -> Vector
) {
  let inner = broadcast.inner
  let repeats = broadcast.repeats
  if repeats == 1 {
    parallelRanges(broadcast.count, grain: elementGrain) { range in
      let start = range.lowerBound
      mapVectors(a + start, b + start, into: output + start, count: range.count, operation)
    }
  } else if inner == 1 {
    parallelRanges(broadcast.outer, grain: elementGrain / repeats) { range in
      for row in range {
        let value = Vector(repeating: b[row])
        mapVectors(a + row * repeats, into: output + row * repeats, count: repeats) {
          operation($0, value)
        }
      }
    }
  } else {
    parallelRanges(broadcast.outer * repeats, grain: elementGrain / inner) { range in
      // Rows may be as short as a division takes.
      var (index, repeated) = range.lowerBound.quotientAndRemainder(dividingBy: repeats)
      for row in range {
        mapVectors(
          a + row * inner, b + index * inner, into: output + row * inner, count: inner, operation)
        repeated += 1
        if repeated == repeats { (index, repeated) = (index + 1, 0) }
      }
    }
  }
}

/// `output[outer, inner] = sum over repeats of input[outer, repeats, inner]`, the adjoint of
/// repeating.
public func sumRepeats(
  _ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, _ broadcast: Broadcast
) {
  let inner = broadcast.inner
  let repeats = broadcast.repeats
  if inner == 1 {
    parallelRanges(broadcast.outer, grain: elementGrain / repeats) { range in
      for row in range {
        let values = input + row * repeats
        output[row] = Float(sumVectors(values, values, count: repeats) { value, _ in value })
      }
    }
    return
  }
  if broadcast.outer >= Threads.count || repeats * inner < elementGrain {
    parallelRanges(broadcast.outer, grain: elementGrain / (repeats * inner)) { range in
      for row in range {
        sumRows(
          input + row * repeats * inner, into: output + row * inner, rows: repeats, stride: inner,
          columns: inner)
      }
    }
    return
  }
  // Few sums of many rows: split the columns, in whole vectors.
  for row in 0..<broadcast.outer {
    parallelRanges((inner + 7) / 8, grain: 1) { range in
      let start = range.lowerBound * 8
      let end = min(inner, range.upperBound * 8)
      sumRows(
        input + row * repeats * inner + start, into: output + row * inner + start,
        rows: repeats, stride: inner, columns: end - start)
    }
  }
}

/// `output[column] = sum over rows of input[row * stride + column]`, in blocks of 256 rows whose
/// sums are then added: rounding grows with the square root of the length, not with the length.
func sumRows(
  _ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, rows: Int, stride: Int,
  columns: Int
) {
  output.update(repeating: 0, count: columns)
  var column = 0
  while column < columns {
    let width = min(8, columns - column)
    var total = Vector.zero
    var start = 0
    while start < rows {
      let end = min(rows, start + 256)
      var sum = Vector.zero
      if width == 8 {
        for row in start..<end { sum += loadVector(input + row * stride + column) }
      } else {
        for row in start..<end { sum += loadPartialVector(input + row * stride + column, width) }
      }
      total += sum
      start = end
    }
    if width == 8 {
      storeVector(total, to: output + column)
    } else {
      storePartialVector(total, to: output + column, width)
    }
    column += 8
  }
}

/// `output = scale * input + offset`.
public func scaleAndShift(
  _ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, count: Int,
  scale: Float, offset: Float = 0
) {
  let scales = Vector(repeating: scale)
  let offsets = Vector(repeating: offset)
  parallelRanges(count, grain: elementGrain) { range in
    let start = range.lowerBound
    mapVectors(input + start, into: output + start, count: range.count) {
      offsets.addingProduct($0, scales)
    }
  }
}

/// `output += scale * input`.
public func addScaled(
  _ input: UnsafePointer<Float>, to output: UnsafeMutablePointer<Float>, count: Int,
  scale: Float = 1
) {
  let scales = Vector(repeating: scale)
  parallelRanges(count, grain: elementGrain) { range in
    let start = range.lowerBound
    mapVectors(input + start, output + start, into: output + start, count: range.count) {
      $1.addingProduct($0, scales)
    }
  }
}

/// The sum of all elements.
public func sum(_ input: UnsafePointer<Float>, count: Int) -> Double {
  sumVectors(input, input, count: count) { value, _ in value }
}

/// The sum of products of two arrays.
public func dotProduct(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, count: Int) -> Double {
  sumVectors(a, b, count: count) { $0 * $1 }
}

/// Clamps each element to `range`.
public func clamp(
  _ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, count: Int,
  to range: ClosedRange<Float>
) {
  for index in 0..<count {
    output[index] = min(max(input[index], range.lowerBound), range.upperBound)
  }
}

/// The gradient of the input of ``clamp(_:into:count:to:)``: 0 outside the range.
public func clampGradient(
  _ input: UnsafePointer<Float>, _ outputGradient: UnsafePointer<Float>,
  into inputGradient: UnsafeMutablePointer<Float>, count: Int, to range: ClosedRange<Float>
) {
  for index in 0..<count {
    inputGradient[index] = range.contains(input[index]) ? outputGradient[index] : 0
  }
}
