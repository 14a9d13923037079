import Foundation
import HostResources

/// The activation functions used by checkpoints of this family.
public enum Activation: String, Sendable {
  /// `x sigmoid(x)`; also called swish.
  case silu
  /// `x Phi(x)` with the normal distribution function Phi (the exact, "erf" form).
  case gelu
  /// `x sigmoid(1.702 x)`, OpenAI's approximation of GELU.
  case quickGELU = "quick_gelu"
}

/// `output = activation(input)`.
public func activate(
  _ activation: Activation, _ input: UnsafePointer<Float>,
  into output: UnsafeMutablePointer<Float>, count: Int
) {
  parallelRanges(count, grain: elementGrain / 4) { range in
    let input = input + range.lowerBound
    let output = output + range.lowerBound
    switch activation {
    case .silu: mapVectors(input, into: output, count: range.count) { silu($0) }
    case .gelu: mapVectors(input, into: output, count: range.count) { gelu($0) }
    case .quickGELU: mapVectors(input, into: output, count: range.count) { quickGELU($0) }
    }
  }
}

/// `inputGradient = outputGradient * activation'(input)`.
public func activationGradient(
  _ activation: Activation, _ input: UnsafePointer<Float>, _ outputGradient: UnsafePointer<Float>,
  into inputGradient: UnsafeMutablePointer<Float>, count: Int
) {
  parallelRanges(count, grain: elementGrain / 4) { range in
    let x = input + range.lowerBound
    let dy = outputGradient + range.lowerBound
    let dx = inputGradient + range.lowerBound
    switch activation {
    case .silu: mapVectors(x, dy, into: dx, count: range.count) { siluSlope($0) * $1 }
    case .gelu: mapVectors(x, dy, into: dx, count: range.count) { geluSlope($0) * $1 }
    case .quickGELU: mapVectors(x, dy, into: dx, count: range.count) { quickGELUSlope($0) * $1 }
    }
  }
}

@inline(__always)
func sigmoid(_ x: Vector) -> Vector { 1 / (1 + powerOfTwo(-binaryLogarithmOfE * x)) }

@inline(__always)
func silu<Lanes: FloatVector>(_ x: Lanes) -> Lanes {
  x / (all(1) + limitedPowerOfTwo(all(-binaryLogarithmOfE) * x))
}

@inline(__always)
private func all<Lanes: FloatVector>(_ value: Float) -> Lanes { Lanes(repeating: value) }

// d/dx x s(x) = s (1 + x (1 - s))
@inline(__always)
func siluSlope(_ x: Vector) -> Vector {
  let s = sigmoid(x)
  return s * (1 + x * (1 - s))
}

@inline(__always)
func quickGELU(_ x: Vector) -> Vector { x * sigmoid(1.702 * x) }

// d/dx x s(a x) = s (1 + a x (1 - s))
@inline(__always)
func quickGELUSlope(_ x: Vector) -> Vector {
  let s = sigmoid(1.702 * x)
  return s * (1 + 1.702 * x * (1 - s))
}

// x Phi(x) = max(x, 0) - |x| (1 - Phi(|x|))
@inline(__always)
func gelu<Lanes: FloatVector>(_ x: Lanes) -> Lanes {
  let magnitude = x.magnitudes
  return all(0.5) * (x + magnitude - magnitude * tailOfBothSides(magnitude, bell(x)))
}

// d/dx x Phi(x) = Phi(x) + x phi(x)
@inline(__always)
func geluSlope(_ x: Vector) -> Vector {
  let height = bell(x)
  return normalDistribution(x, height) + x * height * 0.398_942_28
}

/// exp(-x^2 / 2), but never less than 1e-38.
@inline(__always)
private func bell<Lanes: FloatVector>(_ x: Lanes) -> Lanes {
  powerOfTwoUpToZero(all(-0.5 * binaryLogarithmOfE) * x * x)
}

/// Phi(x), given `bell` = exp(-x^2 / 2); absolute error under 2e-7.
@inline(__always)
private func normalDistribution<Lanes: FloatVector>(_ x: Lanes, _ bell: Lanes) -> Lanes {
  let upperTail = all(0.5) * tailOfBothSides(x.magnitudes, bell)
  return (all(1) - upperTail).replacing(with: upperTail, whereNegative: x)
}

/// 2 (1 - Phi(x)) of x >= 0, given `bell` = exp(-x^2 / 2).
///
/// Source: Abramowitz and Stegun, formula 7.1.26, at x / sqrt 2.
@inline(__always)
private func tailOfBothSides<Lanes: FloatVector>(_ x: Lanes, _ bell: Lanes) -> Lanes {
  func all(_ value: Float) -> Lanes { Lanes(repeating: value) }
  let t = all(1) / all(1).addingProduct(all(0.231_641_888), x)
  var polynomial = all(1.061_405_43)
  polynomial = all(-1.453_152_03).addingProduct(polynomial, t)
  polynomial = all(1.421_413_74).addingProduct(polynomial, t)
  polynomial = all(-0.284_496_736).addingProduct(polynomial, t)
  polynomial = all(0.254_829_592).addingProduct(polynomial, t)
  return polynomial * t * bell
}

private enum GatedGELU: BinaryMap {
  @inline(__always)
  static func result<Lanes: FloatVector>(_ value: Lanes, _ gate: Lanes) -> Lanes {
    value * gelu(gate)
  }
}

/// GEGLU: `output = value * gelu(gate)`, where each input row holds `width` values, then `width`
/// gates.
///
/// - Source: Shazeer 2020, arXiv 2002.05202
public func gatedGELU(
  _ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, rows: Int, width: Int
) {
  parallelRanges(rows, grain: elementGrain / 4 / width) { range in
    for row in range {
      let value = input + row * 2 * width
      mapVectors(
        GatedGELU.self, value, value + width, into: output + row * width, count: width)
    }
  }
}

/// The gradient of `gatedGELU` with respect to its input.
public func gatedGELUGradient(
  _ input: UnsafePointer<Float>, _ outputGradient: UnsafePointer<Float>,
  into inputGradient: UnsafeMutablePointer<Float>, rows: Int, width: Int
) {
  parallelRanges(rows, grain: elementGrain / 4 / width) { range in
    for row in range {
      let value = input + row * 2 * width
      let gate = value + width
      let dy = outputGradient + row * width
      let valueGradient = inputGradient + row * 2 * width
      let gateGradient = valueGradient + width
      let whole = width / 8 * 8
      let wide = TileForm.native == .wide ? width / 16 * 16 : 0
      for column in stride(from: 0, to: wide, by: 16) {
        let (dv, dg): (SIMD16<Float>, SIMD16<Float>) = gatedGELUGradient(
          load(value + column), load(gate + column), load(dy + column))
        store(dv, to: valueGradient + column)
        store(dg, to: gateGradient + column)
      }
      for column in stride(from: wide, to: whole, by: 8) {
        let (dv, dg) = gatedGELUGradient(
          loadVector(value + column), loadVector(gate + column), loadVector(dy + column))
        storeVector(dv, to: valueGradient + column)
        storeVector(dg, to: gateGradient + column)
      }
      guard whole < width else { continue }
      let rest = width - whole
      let (dv, dg) = gatedGELUGradient(
        loadPartialVector(value + whole, rest), loadPartialVector(gate + whole, rest),
        loadPartialVector(dy + whole, rest))
      storePartialVector(dv, to: valueGradient + whole, rest)
      storePartialVector(dg, to: gateGradient + whole, rest)
    }
  }
}

/// The gradients of `value * gelu(gate)`, which share the distribution function.
@inline(__always)
private func gatedGELUGradient<Lanes: FloatVector>(
  _ value: Lanes, _ gate: Lanes, _ dy: Lanes
) -> (value: Lanes, gate: Lanes) {
  let height = bell(gate)
  let probability = normalDistribution(gate, height)
  let slope = probability + gate * height * all(0.398_942_28)
  return (dy * gate * probability, dy * value * slope)
}

/// Smooth scalar functions for losses.
public enum ScalarFunction: Sendable {
  case exponential
  case square
  case absolute
  /// `log sigmoid(x) = -log(1 + exp(-x))`
  case logSigmoid
}

/// `output = function(input)`; for the short arrays of losses, evaluated in double precision.
public func evaluate(
  _ function: ScalarFunction, _ input: UnsafePointer<Float>,
  into output: UnsafeMutablePointer<Float>, count: Int
) {
  switch function {
  case .exponential: for index in 0..<count { output[index] = Float(exp(Double(input[index]))) }
  case .square: mapVectors(input, into: output, count: count) { $0 * $0 }
  case .absolute:
    mapVectors(input, into: output, count: count) { $0.replacing(with: -$0, where: $0 .< 0) }
  case .logSigmoid:
    for index in 0..<count {
      let x = Double(input[index])
      output[index] = Float(min(x, 0) - log1p(exp(-abs(x))))
    }
  }
}

/// `inputGradient = outputGradient * function'(input)`.
public func evaluateGradient(
  _ function: ScalarFunction, _ input: UnsafePointer<Float>,
  _ outputGradient: UnsafePointer<Float>, into inputGradient: UnsafeMutablePointer<Float>,
  count: Int
) {
  switch function {
  case .exponential:
    for index in 0..<count {
      inputGradient[index] = outputGradient[index] * Float(exp(Double(input[index])))
    }
  case .square: mapVectors(input, outputGradient, into: inputGradient, count: count) { 2 * $0 * $1 }
  case .absolute:
    mapVectors(input, outputGradient, into: inputGradient, count: count) { x, dy in
      let signed = dy.replacing(with: -dy, where: x .< 0)
      return signed.replacing(with: 0, where: x .== 0)
    }
  case .logSigmoid:
    // d/dx log sigmoid(x) = sigmoid(-x)
    for index in 0..<count {
      inputGradient[index] = outputGradient[index] / Float(1 + exp(Double(input[index])))
    }
  }
}
