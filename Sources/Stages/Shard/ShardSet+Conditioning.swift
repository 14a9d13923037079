import Autograd
import Diffusion
import Shards

extension ShardSet {
  /// What the U-Net is told of prompts, one row for each.
  func conditioning(ofPrompts prompts: [Int]) throws -> Conditioning {
    let states = Tensor(uninitialized: [prompts.count] + layout.embeddingShape)
    for (row, prompt) in prompts.enumerated() {
      try readEmbedding(
        ofPrompt: prompt,
        into: UnsafeMutableBufferPointer(
          start: states.pointer + row * layout.embeddingCount, count: layout.embeddingCount))
    }
    return Conditioning(states)
  }

  /// What the U-Net is told of the empty prompt, for guidance: one row.
  func emptyConditioning() throws -> Conditioning {
    Conditioning(Tensor(try emptyEmbedding(), shape: [1] + layout.embeddingShape))
  }
}
