import Foundation
import Shards

/// The files that training reads.
let shardTargets: [FuzzTarget] = [
  FuzzTarget(
    "shard",
    preparing: {
      let index = try ShardIndex(
        contentsOf: "\(Scratch.repository)/Tests/Fuzz/Shards/index.json")
      return { try readShard($0, index.layout) }
    }),
  FuzzTarget(
    "shard-index",
    preparing: {
      let folder = try Scratch.copy("Tests/Fuzz/Shards", to: "shards")
      return { try readIndex($0, folder) }
    }),
]

private func readShard(_ input: UnsafeRawBufferPointer, _ layout: ShardLayout) throws {
  let reader = try ShardReader(path: Scratch.write(input), layout: layout)
  for prompt in 0..<min(reader.promptCount, 50) { _ = try? reader.prompt(prompt) }
  var latent = [Float](repeating: 0, count: layout.latentCount)
  for image in 0..<min(reader.imageCount, 4) {
    try latent.withUnsafeMutableBufferPointer { try reader.readLatent(image, into: $0) }
  }
}

private func readIndex(_ input: UnsafeRawBufferPointer, _ folder: String) throws {
  _ = Scratch.write(input, to: "\(folder)/index.json")
  let set = try ShardSet(folder: folder, split: "train", verifiesDigests: false)
  for number in 0..<min(set.pairCount, 3) {
    let pair = try set.pair(number)
    _ = try? set.prompt(pair.prompt)
    _ = try? set.latent(ofImage: pair.image0)
    _ = try? set.embedding(ofPrompt: pair.prompt)
  }
}
