package import Shards

/// One split of comparisons with the data needed for training: shards, or their stand-in in a plan.
package protocol ComparisonData: Sendable {
  var layout: ShardLayout { get }
  var split: String { get }
  var pairCount: Int { get }
  var promptCount: Int { get }

  func pair(_ number: Int) throws -> ShardPair
  func prompt(_ number: Int) throws -> ShardPrompt
  func readLatent(
    ofImage number: Int, into destination: UnsafeMutableBufferPointer<Float>) throws
  func logVariance(ofImage number: Int) throws -> [Float]?
  func readEmbedding(
    ofPrompt number: Int, into destination: UnsafeMutableBufferPointer<Float>) throws
  func emptyEmbedding() throws -> [Float]
  func pooledText(ofPrompt number: Int) throws -> [Float]?
  func emptyPooledText() throws -> [Float]?
}

extension ShardSet: ComparisonData {}

/// Comparisons that do not exist yet: the first image of each is preferred, and all numbers are 0.
struct PlannedComparisons: ComparisonData {
  let layout: ShardLayout
  let split: String
  var pairCount: Int { Int(Int32.max) }
  var promptCount: Int { pairCount }

  func pair(_ number: Int) -> ShardPair {
    ShardPair(
      prompt: number, image0: 2 * number, image1: 2 * number + 1, label0: 1, label1: 0,
      examplesPerPrompt: 1)
  }

  func prompt(_ number: Int) -> ShardPrompt {
    ShardPrompt(
      text: "", inputIDs: [Int](repeating: 0, count: layout.tokens), isListed: true,
      pairs: number..<number + 1)
  }

  func readLatent(ofImage number: Int, into destination: UnsafeMutableBufferPointer<Float>) {
    destination.update(repeating: 0)
  }

  func logVariance(ofImage number: Int) -> [Float]? {
    layout.hasLogVariance ? zeros(layout.latentCount) : nil
  }

  func readEmbedding(ofPrompt number: Int, into destination: UnsafeMutableBufferPointer<Float>) {
    destination.update(repeating: 0)
  }

  func emptyEmbedding() -> [Float] { zeros(layout.embeddingCount) }
  func pooledText(ofPrompt number: Int) -> [Float]? { emptyPooledText() }
  func emptyPooledText() -> [Float]? { layout.pooledText.map { zeros($0.width) } }

  private func zeros(_ count: Int) -> [Float] { [Float](repeating: 0, count: count) }
}
