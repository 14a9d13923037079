import Foundation
import RandomStreams
import TestSupport
import Testing

/// Numbers that torch drew: `Tests/Fixtures/random/generate.py`.
private struct TorchNumbers: Decodable {
  struct NormalCalls: Decodable {
    struct Call: Decodable {
      let count: Int
      /// All of them, or the first and last 32 of more than 64.
      let values: [Float]
    }
    let seed: UInt64
    let calls: [Call]
  }
  struct Integers: Decodable {
    let seed: UInt64
    let bound: Int
    let values: [Int]
  }
  struct Permutation: Decodable {
    let seed: UInt64
    let values: [Int]
  }
  let normal: [NormalCalls]
  let integers: [Integers]
  let permutations: [Permutation]

  static func load() throws -> TorchNumbers {
    let data = try Data(contentsOf: URL(fileURLWithPath: fixturePath("random/torch.json")))
    return try JSONDecoder().decode(TorchNumbers.self, from: data)
  }
}

@Suite struct TorchGeneratorTests {
  @Test("consecutive normal tensors of every size are torch's")
  func normalNumbers() throws {
    for stream in try TorchNumbers.load().normal {
      var generator = TorchCPUGenerator(seed: stream.seed)
      for (index, call) in stream.calls.enumerated() {
        let drawn = generator.normals(count: call.count)
        let kept = call.count <= 64 ? drawn : Array(drawn.prefix(32) + drawn.suffix(32))
        // Torch's vectorised logarithm, sine and cosine differ from the C library's in the last place.
        let difference = zip(kept, call.values).map { abs($0 - $1) / (1 + abs($1)) }.max() ?? 0
        #expect(kept.count == call.values.count)
        #expect(difference <= 1e-6, "seed \(stream.seed), call \(index) of \(call.count) numbers")
      }
    }
  }

  @Test("integers and permutations are torch's")
  func integersAndPermutations() throws {
    let numbers = try TorchNumbers.load()
    for expected in numbers.integers {
      var generator = TorchCPUGenerator(seed: expected.seed)
      #expect(
        expected.values.map { _ in generator.integer(below: expected.bound) } == expected.values)
    }
    for expected in numbers.permutations {
      var generator = TorchCPUGenerator(seed: expected.seed)
      #expect(generator.permutation(count: expected.values.count) == expected.values)
    }
  }

  @Test("the CUDA stream of seed 0 begins as torch's, and a second tensor continues")
  func cudaNumbers() {
    var generator = TorchCUDAGenerator(seed: 0)
    let first = generator.normals(count: 5)
    // Published with the webui's re-implementation of the stream.
    let expected: [Float] = [-0.92466259, -0.42534406, -2.64384574, 0.14518390, -0.12086651]
    #expect(zip(first, expected).allSatisfy { abs($0 - $1) <= 1e-6 })
    #expect(generator.normals(count: 5) != first)
  }
}
