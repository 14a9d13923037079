import Foundation
import HostResources
import TensorCore
import Testing

@Suite("Attention")
struct AttentionTests {
  static let shapes: [AttentionShape] = [
    .init(batch: 1, heads: 1, queryCount: 1, keyCount: 1, headWidth: 1),
    .init(batch: 2, heads: 2, queryCount: 5, keyCount: 3, headWidth: 4),
    .init(batch: 7, heads: 4, queryCount: 64, keyCount: 64, headWidth: 8),
    .init(batch: 2, heads: 4, queryCount: 256, keyCount: 24, headWidth: 16),
    .init(batch: 1, heads: 2, queryCount: 24, keyCount: 24, headWidth: 16, isCausal: true),
    .init(batch: 1, heads: 3, queryCount: 77, keyCount: 77, headWidth: 20, isCausal: true),
    .init(batch: 1, heads: 1, queryCount: 300, keyCount: 300, headWidth: 12, isCausal: true),
    .init(batch: 1, heads: 2, queryCount: 1, keyCount: 50, headWidth: 40),
    .init(batch: 2, heads: 1, queryCount: 50, keyCount: 1, headWidth: 40),
    .init(batch: 1, heads: 1, queryCount: 130, keyCount: 1500, headWidth: 40),
    .init(batch: 1, heads: 2, queryCount: 200, keyCount: 77, headWidth: 80),
    .init(batch: 1, heads: 1, queryCount: 65, keyCount: 129, headWidth: 160),
    .init(
      batch: 2, heads: 2, queryCount: 33, keyCount: 33, headWidth: 8, queryStride: 48,
      keyStride: 48, valueStride: 48, outputStride: 20, scale: 0.9),
    .init(
      batch: 2, heads: 3, queryCount: 9, keyCount: 70, headWidth: 5, queryStride: 17,
      keyStride: 31, valueStride: 15, outputStride: 16, scale: 3),
    // Scores so large that their maximum has to be followed.
    .init(batch: 1, heads: 2, queryCount: 100, keyCount: 1100, headWidth: 40, scale: 4),
    .init(
      batch: 2, heads: 2, queryCount: 120, keyCount: 120, headWidth: 12, scale: 12, isCausal: true),
  ]

  @Test("output and logarithm of the denominator agree with plain sums", arguments: shapes)
  func forward(_ shape: AttentionShape) {
    let problem = Problem(shape)
    let (output, logSumExp) = problem.attend()
    #expect(largestError(shape.outputTokens(output), problem.expected.output) <= 1e-5)
    #expect(largestError(logSumExp, problem.expected.logSumExp) <= 1e-5)
  }

  @Test("the gradients agree with plain sums", arguments: shapes)
  func backward(_ shape: AttentionShape) {
    let problem = Problem(shape)
    let (query, key, value) = problem.gradients()
    #expect(largestError(shape.queryTokens(query), problem.expected.queryGradient) <= 1e-5)
    #expect(largestError(shape.keyTokens(key), problem.expected.keyGradient) <= 1e-5)
    #expect(largestError(shape.valueTokens(value), problem.expected.valueGradient) <= 1e-5)
  }

  @Test("nothing is written between the tokens", arguments: shapes)
  func gaps(_ shape: AttentionShape) {
    let problem = Problem(shape)
    let gradients = problem.gradients()
    let width = shape.heads * shape.headWidth
    func countsOnlyTokens(_ values: [Float], _ tokens: Int) -> Bool {
      values.filter { !$0.isNaN }.count == tokens * width
    }
    #expect(countsOnlyTokens(problem.attend().output, shape.batch * shape.queryCount))
    #expect(countsOnlyTokens(gradients.query, shape.batch * shape.queryCount))
    #expect(countsOnlyTokens(gradients.key, shape.batch * shape.keyCount))
    #expect(countsOnlyTokens(gradients.value, shape.batch * shape.keyCount))
  }

  @Test("the number of threads does not change a bit", arguments: shapes)
  func threads(_ shape: AttentionShape) {
    let problem = Problem(shape)
    let results = [1, 2, 5].map { threads in
      Threads.with(count: threads) {
        let gradients = problem.gradients()
        return [
          shape.outputTokens(problem.attend().output), shape.queryTokens(gradients.query),
          shape.keyTokens(gradients.key), shape.valueTokens(gradients.value),
        ]
      }
    }
    #expect(results[0] == results[1])
    #expect(results[0] == results[2])
  }

  @Test("scores of any size give weights that sum to one")
  func largeScores() {
    let shape = AttentionShape(
      batch: 1, heads: 1, queryCount: 8, keyCount: 40, headWidth: 16, scale: 1000)
    let problem = Problem(shape)
    #expect(largestError(problem.attend().output, problem.expected.output) <= 1e-4)
  }

  @Test("what is not a number reaches every query that meets it, and no other")
  func notNumbers() {
    let shape = AttentionShape(batch: 1, heads: 2, queryCount: 30, keyCount: 140, headWidth: 8)
    let query = noise(shape.queryCount * 16, seed: 1)
    let key = noise(shape.keyCount * 16, seed: 2)
    func output(_ query: [Float], _ key: [Float]) -> [Float] {
      filled(query.count) {
        attend(query: query, key: key, value: key, into: $0, logSumExp: nil, shape)
      }
    }
    var spoiled = key
    spoiled[16 * 3 + 9] = .nan
    let ofKey = output(query, spoiled).enumerated().map { $1.isNaN == ($0 % 16 >= 8) }
    #expect(ofKey.allSatisfy { $0 })
    spoiled = query
    spoiled[16 * 5 + 2] = .infinity
    let ofQuery = output(spoiled, key).enumerated().map { $1.isNaN == ($0 / 8 == 10) }
    #expect(ofQuery.allSatisfy { $0 })
  }

  /// One attention with something in all its operands, and what plain loops make of it.
  struct Problem {
    let shape: AttentionShape
    let query: [Float]
    let key: [Float]
    let value: [Float]
    let outputGradient: [Float]
    let expected: AttentionReference

    init(_ shape: AttentionShape) {
      self.shape = shape
      query = noise(shape.batch * shape.queryCount * shape.queryStride, seed: 1)
      key = noise(shape.batch * shape.keyCount * shape.keyStride, seed: 2)
      value = noise(shape.batch * shape.keyCount * shape.valueStride, seed: 3)
      outputGradient = noise(shape.batch * shape.queryCount * shape.outputStride, seed: 4)
      expected = AttentionReference(
        shape, shape.queryTokens(query), shape.keyTokens(key), shape.valueTokens(value),
        shape.outputTokens(outputGradient))
    }

    func attend() -> (output: [Float], logSumExp: [Float]) {
      var output: [Float] = []
      let logSumExp = filled(shape.batch * shape.heads * shape.queryCount) { logSumExp in
        output = filled(shape.batch * shape.queryCount * shape.outputStride) {
          TensorCore.attend(
            query: query, key: key, value: value, into: $0, logSumExp: logSumExp, shape)
        }
      }
      return (output, logSumExp)
    }

    func gradients() -> (query: [Float], key: [Float], value: [Float]) {
      let (output, logSumExp) = attend()
      var keyGradient: [Float] = []
      var valueGradient: [Float] = []
      let queryGradient = filled(query.count) { queryGradient in
        keyGradient = filled(key.count) { keyGradient in
          valueGradient = filled(value.count) { valueGradient in
            attendGradients(
              query: query, key: key, value: value, output: output,
              outputGradient: outputGradient, logSumExp: logSumExp,
              queryGradient: queryGradient, keyGradient: keyGradient,
              valueGradient: valueGradient, shape)
          }
        }
      }
      return (queryGradient, keyGradient, valueGradient)
    }
  }
}
