import Autograd
import Diffusion
import Shards

extension ComparisonData {
  /// Returns the U-Net's conditioning on prompts, one row each.
  func conditioning(ofPrompts prompts: [Int]) throws -> Conditioning {
    let states = try Tensor(rows: prompts.count, of: layout.embeddingShape) { row, target in
      try readEmbedding(ofPrompt: prompts[row], into: target)
    }
    return conditioning(
      states, pooledText: try prompts.flatMap { try pooledText(ofPrompt: $0) ?? [] })
  }

  /// Returns the U-Net's conditioning on the empty prompt, for guidance: one row.
  func emptyConditioning() throws -> Conditioning {
    conditioning(
      Tensor(try emptyEmbedding(), shape: [1] + layout.embeddingShape),
      pooledText: try emptyPooledText() ?? [])
  }

  private func conditioning(_ states: Tensor, pooledText: [Float]) -> Conditioning {
    Conditioning(
      states,
      pooledText: layout.pooledText.map {
        Tensor(pooledText, shape: [states.shape[0], $0.width])
      }, sizes: (layout.pooledText?.sizes ?? []).map { Float($0) })
  }
}
