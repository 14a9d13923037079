import HostResources
import TensorCore

/// The sums that define a convolution and its gradients, in plain loops and doubles.
struct ConvolutionReference {
  let shape: ConvolutionShape

  /// Calls `body` with the offsets of every input, weight and output that belong together.
  private func forEachProduct(_ body: (_ input: Int, _ weight: Int, _ output: Int) -> Void) {
    let s = shape
    for n in 0..<s.batch {
      for y in 0..<s.outputHeight {
        for x in 0..<s.outputWidth {
          let output = ((n * s.outputHeight + y) * s.outputWidth + x) * s.outputChannels
          for ky in 0..<s.kernelHeight {
            for kx in 0..<s.kernelWidth {
              let inputY = y * s.stride + ky - s.paddingTop
              let inputX = x * s.stride + kx - s.paddingLeft
              guard (0..<s.height).contains(inputY), (0..<s.width).contains(inputX) else {
                continue
              }
              let input = ((n * s.height + inputY) * s.width + inputX) * s.inputChannels
              let weight = (ky * s.kernelWidth + kx) * s.inputChannels * s.outputChannels
              for i in 0..<s.inputChannels {
                for o in 0..<s.outputChannels {
                  body(input + i, weight + i * s.outputChannels + o, output + o)
                }
              }
            }
          }
        }
      }
    }
  }

  func forward(_ input: [Float], _ weights: [Float], bias: [Float]?) -> [Double] {
    var result = (0..<shape.outputCount).map { Double(bias?[$0 % shape.outputChannels] ?? 0) }
    forEachProduct { i, w, o in result[o] += Double(input[i]) * Double(weights[w]) }
    return result
  }

  func inputGradient(_ outputGradient: [Float], _ weights: [Float]) -> [Double] {
    var result = [Double](repeating: 0, count: shape.inputCount)
    forEachProduct { i, w, o in result[i] += Double(outputGradient[o]) * Double(weights[w]) }
    return result
  }

  func weightGradient(_ input: [Float], _ outputGradient: [Float]) -> [Double] {
    var result = [Double](repeating: 0, count: shape.weightCount)
    forEachProduct { i, w, o in result[w] += Double(input[i]) * Double(outputGradient[o]) }
    return result
  }
}

/// The largest difference, relative to the largest expected magnitude (but to no less than 0.05: what is
/// exactly 0 comes out as rounding errors); infinite if any value is not finite.
func largestError(_ values: [Float], _ expected: [Double]) -> Double {
  var difference = 0.0
  var magnitude = 0.05
  for (value, expected) in zip(values, expected) {
    guard value.isFinite else { return .infinity }
    difference = max(difference, abs(Double(value) - expected))
    magnitude = max(magnitude, abs(expected))
  }
  return difference / magnitude
}

/// Numbers in -1...1 that look random, the same ones for the same seed.
func noise(_ count: Int, seed: UInt64) -> [Float] {
  var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
  return (0..<count).map { _ in
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Float(Int32(truncatingIfNeeded: state >> 32)) / Float(1 << 31)
  }
}

func makeStorage(_ values: [Float]) -> HostMemory {
  let storage = HostMemory(count: values.count)
  for (index, value) in values.enumerated() { storage.pointer[index] = value }
  return storage
}

/// An array that a kernel fills; it holds NaN before, so that an element left out is noticed.
func filled(_ count: Int, _ body: (UnsafeMutablePointer<Float>) -> Void) -> [Float] {
  let storage = HostMemory(count: count)
  for index in 0..<count { storage.pointer[index] = .nan }
  body(storage.pointer)
  return (0..<count).map { storage.pointer[$0] }
}
